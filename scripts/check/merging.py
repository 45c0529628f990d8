"""Merging a promotion or rollback: checked again, pinned to the head that was checked."""

from dataclasses import dataclass

from scripts.check.proposal import checked
from scripts.errors import Refused
from scripts.forges.forge import Forge, PullRequest
from scripts.history.git import Commit
from scripts.history.repository import temporary_copy
from scripts.promotion.bridge import Bridge
from scripts.promotion.proposal import PROMOTION, ROLLBACK, branches_of, open_proposals
from scripts.release_file import Release, parse, path_of


@dataclass(frozen=True)
class Merged:
    """A pull request that is on the trunk, and the release it brought."""

    number: int
    commit: str
    release: Release


def merge(bridge: Bridge, environment: str, number: int | None) -> Merged:
    """Merge a proposal of an environment, or say again what merging it gave.

    Args:
        bridge: Where it is open, and what it is checked against.
        environment: The environment it changes.
        number: Which; None takes the only open one.

    Raises:
        Refused: There is none, it does not pass `checked`, or the forge refuses the merge.
    """
    forge = bridge.forge
    pull_request = wanted(forge, environment, number)
    with temporary_copy(forge) as repository:
        message = ""
        if pull_request.state == "open":
            checked(bridge, repository, pull_request, environment, approved=True)
            message = merge_message(repository.commit(pull_request.head), pull_request)
        commit = forge.merge(pull_request.number, pull_request.head, message)
        repository.fetch()
        release = parse(repository.read(commit, path_of(environment)) or b"")
        return Merged(pull_request.number, commit, release)


def merge_message(commit: Commit, pull_request: PullRequest) -> str:
    """The proposal's message with its number, and who approved it, among the trailers."""
    subject, _, rest = commit.message.partition("\n")
    approvals = "".join(f"Approved-by: {account}\n" for account in pull_request.approved_by)
    number = pull_request.number
    return f"{subject} (#{number})\n{rest.rstrip()}\nPull-Request: #{number}\n{approvals}"


def wanted(forge: Forge, environment: str, number: int | None) -> PullRequest:
    """The named proposal of an environment, or the only open one."""
    if number is None:
        proposals = open_proposals(forge, environment)
        if len(proposals) != 1:
            found = ", ".join(f"#{each.number}" for each in proposals) or "none"
            raise Refused("which", f"{environment} has {found} open; name the pull request to merge")
        return proposals[0]
    pull_request = forge.get(number)
    if not pull_request.branch.startswith(
        (branches_of(environment, PROMOTION), branches_of(environment, ROLLBACK))
    ):
        raise Refused(
            "other_environment", f"#{number} ({pull_request.title}) is no proposal for {environment}"
        )
    return pull_request
