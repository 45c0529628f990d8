"""The check that every pull request has to pass, whatever it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.check.change import Change, change_of, environments_in, touched
from scripts.check.merging import wanted
from scripts.check.proposal import Checked, checked
from scripts.errors import Refused
from scripts.forges.forge import Forge, PullRequest
from scripts.history.git import GitFailed
from scripts.history.repository import Repository, temporary_copy
from scripts.promotion.bridge import Bridge
from scripts.promotion.proposal import PROMOTION, ROLLBACK

MARKER = "purchase-prediction: what this changes in the environments"


@dataclass(frozen=True)
class Question:
    """Which pull request, and what of it.

    Attributes:
        number: None takes the one with this head, or the only open proposal of the environment.
        head: The commit it must still have.
        environment: It must be a proposal for this one; None lets what it touches decide.
        approved: It must have the approval that its environment needs.
    """

    number: int | None = None
    head: str | None = None
    environment: str | None = None
    approved: bool = False


@dataclass(frozen=True)
class Answer:
    """A pull request that passes, and as what."""

    pull_request: PullRequest
    found: Checked | Change

    def to_json(self) -> dict[str, Any]:
        """For a program to read."""
        pull_request = self.pull_request
        about = {"pull_request": pull_request.number, "head": pull_request.head, "url": pull_request.url}
        return {**about, **self.found.to_json()}


def check(forge: Forge, bridge: Callable[[], Bridge], question: Question) -> Answer:
    """What passes.

    Args:
        forge: Where the pull request is.
        bridge: Made only for a proposal; any other change is judged without registry and store.
        question: Which pull request.

    Raises:
        Refused: It does not pass; or there is no such pull request, or it is not open.
        Broken: Something that has to be asked does not answer.
    """
    pull_request = _wanted(forge, question)
    with temporary_copy(forge) as repository:
        _bring(repository, pull_request)
        environment = question.environment or _environment(repository, pull_request)
        found: Checked | Change
        if environment is None:
            found = change_of(repository, pull_request)
        else:
            found = checked(bridge(), repository, pull_request, environment, approved=question.approved)
    return Answer(pull_request, found)


def _wanted(forge: Forge, question: Question) -> PullRequest:
    if question.number is not None:
        pull_request = forge.get(question.number)
    elif question.head is not None:
        pull_request = _with_head(forge, question.head)
    elif question.environment is not None:
        pull_request = wanted(forge, question.environment, None)
    else:
        raise Refused("which", "name the pull request to check, its head or its environment")
    if pull_request.state != "open":
        raise Refused(
            "not_open", f"#{pull_request.number} is {pull_request.state}; only an open one is checked"
        )
    if question.head not in {None, pull_request.head}:
        moved = f"#{pull_request.number} has head {pull_request.head[:12]} by now, not {question.head:.12}"
        raise Refused("head_moved", f"{moved}; check that one")
    return pull_request


def _with_head(forge: Forge, head: str) -> PullRequest:
    everything = forge.pull_requests("", people_of_ended=False)
    found = next((each for each in everything if each.head == head and each.state == "open"), None)
    if found is None:
        raise Refused("no_pull_request", f"no open pull request has the head {head}")
    return found


def _bring(repository: Repository, pull_request: PullRequest) -> None:
    """Have the head, which is not on a branch of this repository when it comes from a fork."""
    try:
        repository.commit(pull_request.head)
    except GitFailed:
        repository.fetch_proposed([pull_request.number])


def _environment(repository: Repository, pull_request: PullRequest) -> str | None:
    """The environment whose proposal this is or wants to be; None when it touches no release."""
    kind, _, rest = pull_request.branch.partition("/")
    if kind in {PROMOTION, ROLLBACK} and "/" in rest:
        return rest.partition("/")[0]
    names = environments_in(touched(repository, pull_request))
    return names[0] if names else None
