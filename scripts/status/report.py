"""What runs where, since when, what is open and what is held; nothing is changed."""

from typing import Any

from scripts.errors import Refused
from scripts.forges.forge import Forge, PullRequest
from scripts.history import deployment_history
from scripts.history.deployment_history import Deployment, DeploymentHistory
from scripts.history.git import Git
from scripts.history.repository import TRUNK, Repository, temporary_copy
from scripts.manifests.overlay import folders_with
from scripts.promotion.proposal import open_proposals
from scripts.release_file import parse


def environments(git: Git, commit: str) -> list[str]:
    """Names of the environments that have a release file at a commit."""
    return folders_with(git, commit, "release.yaml")


def states(forge: Forge, repository: Repository) -> dict[str, Any]:
    """Every environment's state, and since when each pair of them differs."""
    histories = {
        name: deployment_history.read(repository, name, TRUNK) for name in environments(repository, TRUNK)
    }
    states = {
        name: _state(history, open_proposals(forge, name), repository) for name, history in histories.items()
    }
    return {"environments": states, "differences": _differences(list(histories.values()))}


def history(forge: Forge, environment: str) -> list[dict[str, Any]]:
    """Every change of an environment's release, newest first."""
    with temporary_copy(forge) as repository:
        deployment_history.live_file(repository, environment, TRUNK)
        deployments = deployment_history.read(repository, environment, TRUNK).deployments
    return [_told(deployment) for deployment in reversed(deployments)]


def _state(history: DeploymentHistory, proposals: list[PullRequest], git: Git) -> dict[str, Any]:
    try:
        release: dict[str, Any] | None = parse(
            deployment_history.live_file(git, history.environment, TRUNK)
        ).model_dump()
        problem = None
    except Refused as refusal:
        release, problem = None, str(refusal)
    return {
        "release": release,
        "problem": problem,
        "since": history.live.commit.at.isoformat() if history.live else None,
        "commit": history.live.commit.id if history.live else None,
        "open": [_shown(each) for each in proposals],
        "held": [{"release": hold.release.name, "why": str(hold)} for hold in history.holds],
        "rollback_to": _name_of_earlier(history),
    }


def _shown(pull_request: PullRequest) -> dict[str, Any]:
    return {
        "pull_request": pull_request.number,
        "title": pull_request.title,
        "url": pull_request.url,
        "approved_by": list(pull_request.approved_by),
    }


def _name_of_earlier(history: DeploymentHistory) -> str | None:
    undone = history.to_revert()
    earlier = undone[-1].before if undone else None
    return earlier.name if earlier else None


def _differences(histories: list[DeploymentHistory]) -> list[dict[str, Any]]:
    """Pairs of environments that run different releases; `since` is when the later of the two changed."""
    pairs = [(one, other) for index, one in enumerate(histories) for other in histories[index + 1 :]]
    return [
        {
            "environments": [one.environment, other.environment],
            "since": max(one.live.commit.at, other.live.commit.at).isoformat(),
        }
        for one, other in pairs
        if one.live and other.live and one.live.after != other.live.after
    ]


def _told(deployment: Deployment) -> dict[str, Any]:
    commit = deployment.commit
    first = (
        "first"
        if deployment.before is None
        else "promotion"
        if commit.trailer("Evidence-Sha256")
        else "change"
    )
    return {
        "commit": commit.id,
        "at": commit.at.isoformat(),
        "kind": "rollback" if deployment.is_rollback else first,
        "subject": commit.subject,
        "release": deployment.after.model_dump(),
        "replaced": deployment.before.model_dump() if deployment.before else None,
        "pull_request": commit.trailer("Pull-Request"),
        "requested_by": commit.trailer("Requested-by"),
        "approved_by": list(commit.trailers("Approved-by")),
        "evidence_sha256": commit.trailer("Evidence-Sha256"),
    }
