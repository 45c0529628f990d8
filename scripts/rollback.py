"""Rollbacks: a pull request that restores the release before the one that runs."""

from dataclasses import dataclass
from typing import Any

from scripts import deployment_history
from scripts.candidate import servable
from scripts.errors import Refused
from scripts.promotion import Bridge, Opened, branch_digest, manifest_diff, trailers
from scripts.proposal import ROLLBACK, Proposal, branches_of, publish
from scripts.pull_request import rollback_body
from scripts.release_file import Release, edit, parse, path_of
from scripts.repository import TRUNK, Repository, temporary_copy
from scripts.taken_back import was_rejected


@dataclass(frozen=True)
class _Return:
    """From one release back to an earlier one, and the commits that this undoes, newest first."""

    environment: str
    live: Release
    earlier: Release
    reverts: tuple[str, ...]
    requested_by: str
    reason: str

    @property
    def title(self) -> str:
        return (
            f"{self.environment}: back to model {self.earlier.model_version}, image {self.earlier.image_tag}"
        )

    @property
    def versions(self) -> str:
        return f"{self.live.model_version}-to-{self.earlier.model_version}"

    @property
    def facts(self) -> dict[str, Any]:
        return {"requested_by": self.requested_by, "reason": self.reason, "reverts": list(self.reverts)}

    def message(self, data_version: str) -> str:
        lines = "\n".join(f"This reverts commit {commit}." for commit in self.reverts)
        paragraph = trailers(self.requested_by, self.earlier, data_version)
        return f"{self.title}\n\n{lines}\n\n{self.reason}\n\n{paragraph}"


def open_rollback(bridge: Bridge, environment: str, requested_by: str, reason: str) -> Opened:
    """A pull request for the release before the live one, once its model is proven to load.

    It changes the lines that a plain `git revert` of the promotion would change in the release file, and its
    message says so in git's own words.

    Raises:
        Refused: There is nothing earlier that is not held, its bundle or snapshot does not load, or a person
            closed this very rollback.
    """
    with temporary_copy(bridge.forge.remote) as repository:
        file = deployment_history.live_file(repository, environment, TRUNK)
        undone = deployment_history.read(repository, environment, TRUNK).to_revert()
        live, earlier = parse(file), undone[-1].before if undone else None
        if earlier is None:
            raise Refused(
                "nothing_earlier", f"{environment} has no release before {live.name} that is not held"
            )
        data_version = servable(bridge.models, earlier.model_version, earlier.model_sha256).data_version
        reverts = tuple(deployment.commit.id for deployment in undone)
        way = _Return(environment, live, earlier, reverts, requested_by, reason)
        proposal = _proposal(bridge, repository, file, way, data_version)
        _refuse_rejected(bridge, proposal.branch)
        return Opened.of(publish(bridge.forge, repository, proposal, bridge.clock()), earlier, live)


def _proposal(
    bridge: Bridge, repository: Repository, file: bytes, way: _Return, data_version: str
) -> Proposal:
    changed = edit(file, way.earlier)
    digest = branch_digest(way.reverts[0].encode(), changed)

    def body(head: str) -> str:
        diff = manifest_diff(bridge, repository, way.environment, head)
        return rollback_body(way.title, way.environment, way.live, way.earlier, facts=way.facts, diff=diff)

    return Proposal(
        kind=ROLLBACK,
        environment=way.environment,
        branch=f"{branches_of(way.environment, ROLLBACK)}{way.versions}-{digest}",
        title=way.title,
        message=way.message(data_version),
        files={path_of(way.environment): changed},
        release=way.earlier,
        replaces=file,
        body=body,
    )


def _refuse_rejected(bridge: Bridge, branch: str) -> None:
    for known in bridge.forge.pull_requests(branch):
        if was_rejected(known, bridge.forge.account):
            message = f"#{known.number} was closed by {known.closed_by}; open it again on the forge"
            raise Refused("rejected", message)
