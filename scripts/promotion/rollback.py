"""Rollbacks: a pull request that restores the release before the one that runs."""

from dataclasses import dataclass, replace
from typing import Any

from scripts.errors import Broken, Refused
from scripts.evidence.candidate import servable
from scripts.evidence.rules import Rules, rules_of
from scripts.history import deployment_history
from scripts.history.git import Commit
from scripts.history.repository import TRUNK, Repository, temporary_copy
from scripts.images import release_images
from scripts.promotion.bridge import Bridge
from scripts.promotion.opening import Opened, branch_digest, manifest_diffs, trailers
from scripts.promotion.proposal import ROLLBACK, Proposal, branches_of, publish
from scripts.promotion.pull_request import rollback_body
from scripts.promotion.taken_back import was_rejected
from scripts.release_file import Release, edit, parse, path_of

_PARAGRAPHS = 4  # of a rollback's message: title, what it reverts, reason, trailers


@dataclass(frozen=True)
class Return:
    """From one release back to an earlier one, and the commits that this undoes, newest first."""

    environment: str
    live: Release
    earlier: Release
    reverts: tuple[str, ...]
    requested_by: str
    reason: str

    @property
    def title(self) -> str:
        """First line of the commit, and what the pull request is called."""
        return (
            f"{self.environment}: back to model {self.earlier.model_version}, image {self.earlier.image_tag}"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """The JSON block of the pull request."""
        return {"requested_by": self.requested_by, "reason": self.reason, "reverts": list(self.reverts)}

    def message(self, data_version: str) -> str:
        """The commit's message, in which `reason_of` finds the reason again."""
        lines = "\n".join(f"This reverts commit {commit}." for commit in self.reverts)
        paragraph = trailers(self.requested_by, self.earlier, data_version)
        return f"{self.title}\n\n{lines}\n\n{self.reason}\n\n{paragraph}"


def open_rollback(
    bridge: Bridge, environment: str, requested_by: str, reason: str, of: Release | None = None
) -> Opened:
    """A pull request for the release before the live one, once that is proven to be servable.

    It changes the lines that a plain `git revert` of the promotion would change in the release file, and its
    message says so in git's own words. Who saw a certain release fail names it as `of`.

    Raises:
        Refused: Another release than `of` is live by now; there is nothing earlier that is not held; its bundle or
            snapshot does not load; an image is gone or its tag was moved; or a person closed this very rollback.
    """
    with temporary_copy(bridge.forge) as repository:
        file = deployment_history.live_file(repository, environment, TRUNK)
        way = way_back(repository, environment, requested_by, reason)
        if of not in {None, way.live}:
            raise Refused("release_changed", f"{environment} is at {way.live.name} by now; look again")
        earlier = way.earlier
        data_version = servable(bridge.models, earlier.model_version, earlier.model_sha256).data_version
        refuse_lost_images(bridge, repository, rules_of(repository, environment, TRUNK), way)
        proposal = proposal_of(bridge, repository, file, way, data_version)
        _refuse_rejected(bridge, proposal.branch)
        return Opened.of(publish(bridge.forge, repository, proposal, bridge.clock()), earlier, way.live)


def way_back(repository: Repository, environment: str, requested_by: str, reason: str) -> Return:
    """The way to the release before the live one, passing over what is held.

    Raises:
        Refused: There is none.
    """
    live = parse(deployment_history.live_file(repository, environment, TRUNK))
    undone = deployment_history.read(repository, environment, TRUNK).to_revert()
    earlier = undone[-1].before if undone else None
    if earlier is None:
        raise Refused("nothing_earlier", f"{environment} has no release before {live.name} that is not held")
    reverts = tuple(deployment.commit.id for deployment in undone)
    return Return(environment, live, earlier, reverts, requested_by, reason)


def refuse_lost_images(bridge: Bridge, repository: Repository, rules: Rules, way: Return) -> None:
    """Refuse to go back to images that are gone, or whose tag names other bytes than when the release came.

    Raises:
        Refused: One is.
        Broken: The environment takes its images from a registry and none is configured or answers.
    """
    if not rules.images:
        return
    if bridge.images is None:
        raise Broken(
            f"no image registry is configured, so nobody knows whether {way.earlier.name} can be pulled"
        )
    tag, environment = way.earlier.image_tag, way.environment
    found = release_images.digests(bridge.images, repository, environment, tag)
    before = release_images.recorded(repository, environment, way.earlier)
    release_images.refuse_moved(found, before, tag, environment)


def proposal_of(
    bridge: Bridge, repository: Repository, file: bytes, way: Return, data_version: str
) -> Proposal:
    """What is to be merged to go a way back."""
    changed = edit(file, way.earlier)
    digest = branch_digest(way.reverts[0].encode(), changed)
    versions = f"{way.live.model_version}-to-{way.earlier.model_version}"

    def body(head: str) -> str:
        """The text for what was pushed, which may be what another person asked for."""
        commit = repository.commit(head)
        pushed = replace(way, requested_by=commit.trailer("Requested-by") or "", reason=reason_of(commit))
        diffs = manifest_diffs(bridge, repository, way.environment, head)
        return rollback_body(
            way.title, way.environment, way.live, way.earlier, facts=pushed.facts, diffs=diffs
        )

    return Proposal(
        kind=ROLLBACK,
        environment=way.environment,
        branch=f"{branches_of(way.environment, ROLLBACK)}{versions}-{digest}",
        title=way.title,
        message=way.message(data_version),
        files={path_of(way.environment): changed},
        release=way.earlier,
        replaces=file,
        body=body,
    )


def reason_of(commit: Commit) -> str:
    """Why a rollback was asked for, from its commit; empty when it was not written by promote."""
    paragraphs = commit.message.strip().split("\n\n")
    return paragraphs[2] if len(paragraphs) == _PARAGRAPHS else ""


def _refuse_rejected(bridge: Bridge, branch: str) -> None:
    for known in bridge.forge.pull_requests(branch):
        if was_rejected(known, bridge.forge.account):
            message = f"#{known.number} was closed by {known.closed_by}; open it again on the forge"
            raise Refused("rejected", message)
