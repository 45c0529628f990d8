"""What an environment ran and runs, and what must not come back: derived from the trunk's history alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scripts.errors import Refused
from scripts.history.git import Commit, Git
from scripts.release_file import BadReleaseFile, Release, parse, path_of

UN_HOLD = "Un-hold"


@dataclass(frozen=True)
class Hold:
    """What may not be proposed: a model, an image or (both set) their pair.

    `release` was live until `commit` put an older one in its place.
    """

    release: Release
    commit: Commit
    model_version: int | None
    image_tag: str | None

    def covers(self, release: Release) -> bool:
        """Whether a release would bring back what was rolled back."""
        model = self.model_version is None or self.model_version == release.model_version
        image = self.image_tag is None or self.image_tag == release.image_tag
        return model and image

    def __str__(self) -> str:
        """One clause for a person."""
        what = [f"model {self.model_version}"] if self.model_version is not None else []
        what += [f"image {self.image_tag}"] if self.image_tag is not None else []
        return (
            f"{' with '.join(what)} was rolled back by commit {self.commit.id[:12]} ({self.commit.subject})"
        )


@dataclass(frozen=True)
class Deployment:
    """A commit that changed an environment's release; `broke` is the hold that `after` was under until then."""

    commit: Commit
    before: Release | None
    after: Release
    is_rollback: bool
    broke: Hold | None = None


@dataclass(frozen=True)
class UnHold:
    """A commit trailer `Un-hold: [<environment>/]<model version>-<image tag> <reason>`."""

    environment: str | None
    release_name: str
    reason: str
    commit: Commit


@dataclass
class DeploymentHistory:
    """Deployments of one environment, oldest first, and the holds in force.

    `unreadable` are the commits that left no release file or one that cannot be parsed.
    """

    environment: str
    deployments: list[Deployment] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    un_holds: list[UnHold] = field(default_factory=list)
    unreadable: list[Commit] = field(default_factory=list)

    @property
    def live(self) -> Deployment | None:
        """The deployment that says what runs now."""
        return self.deployments[-1] if self.deployments else None

    def hold_on(self, release: Release) -> Hold | None:
        """The hold that forbids a release, None when it may be proposed."""
        return next((hold for hold in self.holds if hold.covers(release)), None)

    def to_revert(self) -> list[Deployment]:
        """The promotions a rollback undoes, newest first; the last one's `before` is what it restores.

        Normally that is the promotion that brought what is live. After a rollback it is the promotion that
        had brought the restored release first, so a second rollback goes further back and never forward
        again; what is held is passed over. Empty when nothing earlier had a model.
        """
        places: dict[Release, Deployment] = {}  # in the order in which they came
        for deployment in self.deployments:
            if deployment.after in places:
                while next(reversed(places)) != deployment.after:
                    places.popitem()
            else:
                places[deployment.after] = deployment
        lineage = list(places.values())
        for index in reversed(range(len(lineage))):
            before = lineage[index].before
            if before is not None and before.has_model and not self.hold_on(before):
                return lineage[: index - 1 if index else None : -1]
        return []


def read(git: Git, environment: str, trunk: str) -> DeploymentHistory:
    """The history of an environment on the first-parent line of the trunk.

    Commits whose release file cannot be parsed are passed over; `live_file` refuses when the newest is one.
    """
    path = path_of(environment)
    touching = git.commits("--first-parent", "--reverse", trunk, "--", path)
    files = git.blobs([f"{commit.id}:{path}" for commit in touching])
    lifting = git.commits("--first-parent", "--reverse", f"--grep=^{UN_HOLD}:", trunk)
    parsed = {commit.id: _parsed(data) for commit, data in zip(touching, files, strict=True)}
    ordered = _in_order(git, trunk, touching, lifting) if lifting else touching
    history = replay(environment, [(commit, parsed.get(commit.id)) for commit in ordered])
    history.unreadable = [commit for commit in touching if parsed[commit.id] is None]
    return history


def _in_order(git: Git, trunk: str, *selections: Sequence[Commit]) -> list[Commit]:
    """Commits of several selections, each once, in the order of the trunk."""
    by_id = {commit.id: commit for selection in selections for commit in selection}
    line = git.text("rev-list", "--first-parent", "--reverse", trunk).split()
    return [by_id[sha] for sha in line if sha in by_id]


def live_file(git: Git, environment: str, trunk: str) -> bytes:
    """The bytes of the release file on the trunk.

    Raises:
        Refused: The environment has none.
    """
    data = git.read(trunk, path_of(environment))
    if data is None:
        raise Refused(
            "no_environment",
            f"{path_of(environment)} is not on the trunk; is {environment!r} an environment?",
        )
    return data


def replay(environment: str, commits: Iterable[tuple[Commit, Release | None]]) -> DeploymentHistory:
    """The history that commits make, oldest first; None for a commit that changed no release."""
    history = DeploymentHistory(environment)
    images: dict[str, int] = {}
    for commit, release in commits:
        for un_hold in _un_holds(commit, environment):
            history.un_holds.append(un_hold)
            history.holds = [hold for hold in history.holds if hold.release.name != un_hold.release_name]
        live = history.live.after if history.live else None
        if release is not None and release != live:
            _deploy(history, images, commit, live, release)
            images.setdefault(release.image_tag, len(images))
    return history


def _deploy(
    history: DeploymentHistory,
    images: Mapping[str, int],
    commit: Commit,
    before: Release | None,
    after: Release,
) -> None:
    """One more deployment; `images` are those before it, numbered as they came."""
    broke = history.hold_on(after)
    history.holds = [hold for hold in history.holds if not hold.covers(after)]  # merged, so wanted
    model_back, image_back = _went_back(images, before, after)
    rollback = before is not None and (model_back or image_back)
    if before is not None and rollback:
        model = before.model_version if model_back else None
        image = before.image_tag if image_back else None
        history.holds.append(Hold(before, commit, model, image))
    history.deployments.append(Deployment(commit, before, after, rollback, broke))


def _went_back(images: Mapping[str, int], before: Release | None, after: Release) -> tuple[bool, bool]:
    """Whether the model's number fell, and whether an image came back that had been there before this one."""
    if before is None:
        return False, False
    returns = images.get(after.image_tag, len(images)) < images[before.image_tag]
    return after.model_version < before.model_version, returns


def _un_holds(commit: Commit, environment: str) -> list[UnHold]:
    found = []
    for value in commit.trailers(UN_HOLD):
        name, _, reason = value.partition(" ")
        scope, slash, release_name = name.rpartition("/")
        if reason.strip() and scope in {"", environment}:
            found.append(UnHold(scope if slash else None, release_name, reason.strip(), commit))
    return found


def _parsed(data: bytes | None) -> Release | None:
    if data is None:
        return None
    try:
        return parse(data)
    except BadReleaseFile:
        return None
