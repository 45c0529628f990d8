"""Opening promotions: a function of Git, forge, registry and clock, with no state of its own.

Killed anywhere and asked again, it ends the same.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scripts import deployment_history, gates
from scripts.candidate import Candidate, Models, RegisteredModel, verified
from scripts.errors import Refused
from scripts.evidence import Evidence, Waiver
from scripts.forge import Forge, PullRequest
from scripts.local_forge import utc_now
from scripts.proposal import PROMOTION, Proposal, Published, publish
from scripts.pull_request import promotion_body, title_of
from scripts.release_file import UNRELEASED, Release, edit, evidence_path_of, parse, path_of
from scripts.render import NoKustomize, difference
from scripts.repository import TRUNK, Repository, temporary_copy
from scripts.taken_back import branch_start, refuse_what_was_taken_back

MUTABLE_TAGS = ("latest", UNRELEASED)


@dataclass(frozen=True)
class Bridge:
    """The outside world of a promotion."""

    forge: Forge
    models: Models
    clock: Callable[[], datetime] = utc_now
    render: Callable[[Repository, str, str, str], str] = difference


@dataclass(frozen=True)
class Wish:
    """What somebody asks for. Without `model` or `image_tag` that half of the release stays as it is."""

    environment: str
    requested_by: str
    model: str | None = None
    image_tag: str | None = None
    waivers: Mapping[str, Waiver] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """What came of a wish; `action` is `opened`, `found`, or `live` when the release runs already."""

    action: str
    release: Release
    replaces: Release
    pull_request: PullRequest | None = None
    superseded: tuple[int, ...] = ()

    @classmethod
    def of(cls, published: Published, release: Release, replaces: Release) -> "Opened":
        """The outcome of a proposal that was published."""
        return cls(published.action, release, replaces, published.pull_request, published.superseded)


def open_promotion(bridge: Bridge, wish: Wish) -> Opened:
    """A pull request that brings a model, an image or both into an environment.

    The alias is resolved once, here; everything after speaks of a version and a sha256.

    Raises:
        Refused: A gate, a hold, a rejection or another proposal says no.
    """
    named = bridge.models.registry.resolve(wish.model) if wish.model else None
    with temporary_copy(bridge.forge.remote) as repository:
        file = deployment_history.live_file(repository, wish.environment, TRUNK)
        live = parse(file)
        registered = named or _live_model(bridge.models, live)
        release = _wanted(live, registered, wish.image_tag)
        if release == live:
            return Opened("live", live, live)
        refuse_what_was_taken_back(bridge.forge, repository, wish.environment, live, release)
        evidence = _evidence(wish, live, release, verified(bridge.models, registered))
        proposal = _proposal(bridge, repository, file, evidence)
        return Opened.of(publish(bridge.forge, repository, proposal, bridge.clock()), release, live)


def trailers(
    requested_by: str, release: Release, data_version: str, evidence_sha256: str | None = None
) -> str:
    """The last paragraph of a commit that changes a release."""
    lines = {
        "Requested-by": requested_by,
        "Model-Version": release.model_version,
        "Model-Sha256": release.model_sha256,
        "Image-Tag": release.image_tag,
        "Data-Version": data_version,
        "Evidence-Sha256": evidence_sha256,
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)


def branch_digest(*contents: bytes) -> str:
    """Twelve hex digits for a branch's name."""
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def manifest_diff(bridge: Bridge, repository: Repository, environment: str, head: str) -> str | None:
    """How the rendered manifests change, None without kustomize."""
    try:
        return bridge.render(repository, TRUNK, head, environment)
    except NoKustomize:
        return None


def _live_model(models: Models, live: Release) -> RegisteredModel:
    if not live.has_model:
        raise Refused(
            "no_model", "the environment has no model yet; name one, for example --model challenger"
        )
    registered = models.registry.resolve(str(live.model_version))
    if registered.sha256 != live.model_sha256:
        raise Refused(
            "registry_disagrees",
            f"the registry says version {registered.version} is {registered.sha256[:12]},"
            f" the release {live.model_sha256[:12]}; the registry was changed",
        )
    return registered


def _wanted(live: Release, registered: RegisteredModel, image_tag: str | None) -> Release:
    tag = image_tag or live.image_tag
    if tag in MUTABLE_TAGS:
        raise Refused(
            "bad_image_tag", f"image tag {tag!r} does not name one image; name one with --image-tag"
        )
    wanted = {"image_tag": tag, "model_version": registered.version, "model_sha256": registered.sha256}
    try:
        return Release.model_validate(wanted)
    except ValueError:
        raise Refused("bad_release", f"{wanted} cannot be written to a release file") from None


def _evidence(wish: Wish, live: Release, release: Release, candidate: Candidate) -> Evidence:
    moves = release.model_version != live.model_version
    judged = gates.judged(
        [
            gates.verdict_gate(candidate.verdict, model_moves=moves, first=not live.has_model),
            gates.benchmark_gate(candidate.benchmark, candidate.model.candidate, model_moves=moves),
        ],
        wish.waivers,
    )
    return Evidence(
        environment=wish.environment,
        release=release,
        replaces=live,
        model=candidate.model,
        verdict=candidate.verdict,
        benchmark=candidate.benchmark,
        gates=judged,
        requested_by=wish.requested_by,
    )


def _proposal(bridge: Bridge, repository: Repository, file: bytes, evidence: Evidence) -> Proposal:
    environment, release = evidence.environment, evidence.release
    changed = edit(file, release)
    digest = branch_digest(evidence.anonymous_bytes(), changed)
    title = title_of(evidence)
    paragraph = trailers(evidence.requested_by, release, evidence.model.data_version, evidence.sha256)

    def body(head: str) -> str:
        """The text for what was pushed, which may be another person's wish for the same release."""
        committed = repository.read(head, evidence_path_of(environment, release)) or b""
        return promotion_body(
            Evidence.from_bytes(committed),
            diff=manifest_diff(bridge, repository, environment, head),
            rollback=f'python -m scripts.promote rollback --environment {environment} --reason "…"',
        )

    return Proposal(
        kind=PROMOTION,
        environment=environment,
        branch=branch_start(environment, release) + digest,
        title=title,
        message=f"{title}\n\nRisk: {evidence.risk[0]}\n\n{paragraph}",
        files={path_of(environment): changed, evidence_path_of(environment, release): evidence.to_bytes()},
        release=release,
        replaces=file,
        body=body,
    )
