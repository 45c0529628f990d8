"""What may not be proposed, because Git's history or a person on the forge has said no to it."""

import re
from datetime import UTC, datetime

from scripts.errors import Refused
from scripts.forges.forge import Forge, PullRequest
from scripts.history import deployment_history
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.repository import TRUNK, Repository
from scripts.promotion.proposal import PROMOTION, branches_of
from scripts.release_file import Release

_DIGEST = r"[0-9a-f]{12}"


def refuse_what_was_taken_back(
    forge: Forge, repository: Repository, environment: str, live: Release, release: Release
) -> None:
    """Refuse what Git's history or a person on the forge has said no to.

    Raises:
        Refused: The model is older than the live one, held by a rollback, or its pull request was closed.
    """
    if release.model_version < live.model_version:
        message = (
            f"model {release.model_version} is older than the live {live.model_version}; use promote rollback"
        )
        raise Refused("older_model", message)
    history = deployment_history.read(repository, environment, TRUNK)
    hold = history.hold_on(release)
    if hold:
        raise Refused("held", f"{release.name} is held in {environment}: {hold}; {_lift(hold.release)}")
    start = branch_start(environment, release)
    for pull_request in forge.pull_requests(start):
        same = re.fullmatch(_DIGEST, pull_request.branch.removeprefix(start))  # not of `<tag>-more`
        if same and was_rejected(pull_request, forge.account) and not _lifted(history, release, pull_request):
            who = f"#{pull_request.number} for {release.name} was closed by {pull_request.closed_by}"
            raise Refused("rejected", f"{who}; {_lift(release)}")


def branch_start(environment: str, release: Release) -> str:
    """What the branch of a promotion is called before its digest; Git allows no two dots in a row."""
    return f"{branches_of(environment, PROMOTION)}{re.sub(r'[.]{2,}', '_', release.name)}-"


def was_rejected(pull_request: PullRequest, account: str) -> bool:
    """Whether a person closed it, not this tool because another superseded it."""
    return pull_request.state == "closed" and pull_request.closed_by != account


def _lift(release: Release) -> str:
    return (
        f"a newer version may come, or a commit on main with the trailer `Un-hold: {release.name} <reason>`"
    )


def _lifted(history: DeploymentHistory, release: Release, rejected: PullRequest) -> bool:
    """Whether an un-hold of the release came after its pull request was closed; commits know whole seconds."""
    closed = (rejected.closed_at or datetime.max.replace(tzinfo=UTC)).replace(microsecond=0)
    return any(each.release_name == release.name and each.commit.at >= closed for each in history.un_holds)
