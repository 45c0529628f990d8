"""One change of one environment on its way to a pull request, safe to kill and to repeat.

`refs/promotions/<environment>` is the environment's slot: it points at the head of the one proposal that may
have an open pull request. One atomic push takes the slot and creates the branch. Then what it supersedes is
closed with a link, and only then its branches are deleted: a forge closes a pull request without a word when its
branch goes. Once they are gone nobody can open a pull request for them, and the own one is opened. Whoever is
killed in between is continued by whoever asks next.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from scripts.errors import Broken, Refused
from scripts.forges.forge import BranchGone, Forge, PullRequest
from scripts.history.git import Identity
from scripts.history.repository import SLOTS, TRUNK, RefUpdate, Repository
from scripts.promotion.shown_text import first_difference
from scripts.release_file import Release, environment_name, parse, path_of

Kind = Literal["promote", "rollback"]
PROMOTION: Kind = "promote"
ROLLBACK: Kind = "rollback"

_HEADS = "refs/heads/"
_TRIES = 10


@dataclass(frozen=True)
class Proposal:
    """What is to be merged. `branch` is a function of the content, so the same wish finds its own branch.

    `replaces` are the bytes of the release file that it was made from.
    """

    kind: Kind
    environment: str
    branch: str
    title: str
    message: str
    files: Mapping[str, bytes]
    release: Release
    replaces: bytes
    body: Callable[[str], str] = field(compare=False)  # from the id of the pushed commit


@dataclass(frozen=True)
class Published:
    """The pull request of a proposal; `action` is `opened` or, when it was there already, `found`."""

    pull_request: PullRequest
    action: Literal["opened", "found"]
    superseded: tuple[int, ...] = ()


class Superseded(Refused):
    """Another proposal took the environment's slot while this one was being opened."""

    def __init__(self, environment: str, by: str) -> None:
        super().__init__("superseded", f"{by!r} took the slot of {environment}; ask again if wanted")


def branches_of(environment: str, kind: str) -> str:
    """What the names of the branches of an environment start with."""
    return f"{kind}/{environment_name(environment)}/"


def proposals(forge: Forge, environment: str) -> list[PullRequest]:
    """Every pull request of an environment, open or not, the ended ones without people; oldest first."""
    prefixes = (branches_of(environment, kind) for kind in (PROMOTION, ROLLBACK))
    return forge.pull_requests(*prefixes, people_of_ended=False)


def open_proposals(forge: Forge, environment: str) -> list[PullRequest]:
    """Open pull requests of an environment: at most one, unless somebody works around the slot."""
    return [pull_request for pull_request in proposals(forge, environment) if pull_request.state == "open"]


def publish(forge: Forge, repository: Repository, proposal: Proposal, now: datetime) -> Published:
    """Make the proposal the only open pull request of its environment.

    Raises:
        Refused: One that may not be superseded is open, or another took the slot meanwhile.
    """
    head = _take_slot(forge, repository, proposal, now)
    own, superseded = _clear_the_way(forge, repository, proposal, head)
    if own:
        return Published(_with_text_of_now(forge, proposal, own), "found", superseded)
    try:
        opened = forge.open_pull_request(proposal.branch, proposal.title, proposal.body(head))
    except BranchGone:
        _still_ours(repository, proposal, head)
        raise Broken(f"branch {proposal.branch} was deleted on the forge; try again") from None
    return Published(opened, "opened", superseded)


def _with_text_of_now(forge: Forge, proposal: Proposal, own: PullRequest) -> PullRequest:
    """The pull request, told anew if what it tells has changed and nobody has approved it as it is."""
    body = proposal.body(own.head)
    same = own.title == proposal.title and first_difference(own.body, body) is None
    if same or own.approved_by:
        return own
    forge.rewrite(own.number, proposal.title, body)
    return forge.get(own.number)


def _clear_the_way(
    forge: Forge, repository: Repository, proposal: Proposal, head: str
) -> tuple[PullRequest | None, tuple[int, ...]]:
    """The own pull request if it is open, and the numbers of those that were closed so that it is the only one."""
    superseded: list[int] = []
    for _ in range(_TRIES):
        listed = open_proposals(forge, proposal.environment)
        branches = _branches(repository, proposal.environment)
        branches.pop(_HEADS + proposal.branch, None)
        others = [each for each in listed if each.branch != proposal.branch]
        if not others and not branches:
            return next(iter(listed), None), tuple(superseded)
        _still_ours(repository, proposal, head)
        for other in others:
            forge.close(other.number, f"Superseded by `{proposal.branch}` ({head}): {proposal.title}.")
        superseded += (other.number for other in others)
        repository.push(RefUpdate(ref, sha, None) for ref, sha in branches.items())
        repository.fetch()
    raise Broken(f"{proposal.environment} has other proposals after {_TRIES} tries to close them; try again")


def _take_slot(forge: Forge, repository: Repository, proposal: Proposal, now: datetime) -> str:
    """The head of the proposal's branch, once the environment's slot points at it."""
    slot_ref, branch_ref = SLOTS + environment_name(proposal.environment), _HEADS + proposal.branch
    for _ in range(_TRIES):
        if repository.read(TRUNK, path_of(proposal.environment)) != proposal.replaces:
            raise Superseded(proposal.environment, repository.commit(TRUNK).subject)
        known = proposals(forge, proposal.environment)
        ended = {pr.head for pr in known if pr.state != "open"}
        branches = _branches(repository, proposal.environment)
        own = branches.pop(branch_ref, None)
        for ref, sha in branches.items():
            if sha not in ended:
                _refuse_to_supersede(
                    repository, proposal, ref, next((pr for pr in known if pr.head == sha), None)
                )
        head = own if own and own not in ended else _commit(forge, repository, proposal, now)
        updates = [RefUpdate(slot_ref, repository.ref(slot_ref), head), RefUpdate(branch_ref, own, head)]
        updates = [update for update in updates if update.old != update.new]
        if not updates or repository.push(updates):
            return head
        repository.fetch()
    raise Broken(f"the slot of {proposal.environment} moved {_TRIES} times; try again")


def _still_ours(repository: Repository, proposal: Proposal, head: str) -> None:
    """Refuse to go on when another proposal has the slot: what is open then may be that one."""
    repository.fetch()
    slot = repository.ref(SLOTS + proposal.environment)
    if slot != head:
        raise Superseded(proposal.environment, repository.commit(slot).subject if slot else "nobody")


def _commit(forge: Forge, repository: Repository, proposal: Proposal, now: datetime) -> str:
    identity = Identity(forge.account, f"{forge.account}@promotion.invalid")
    return repository.propose(TRUNK, proposal.files, proposal.message, identity, now)


def _branches(repository: Repository, environment: str) -> dict[str, str]:
    """Every branch of the environment: proposed, about to be, or left from what has ended."""
    return repository.refs(*(_HEADS + branches_of(environment, kind) for kind in (PROMOTION, ROLLBACK)))


def _refuse_to_supersede(
    repository: Repository, proposal: Proposal, ref: str, known: PullRequest | None
) -> None:
    """Refuse when another branch is approved, a rollback, or of a newer model, with a pull request or on its way."""
    name = (
        f"#{known.number} ({known.title})" if known else f"branch {ref.removeprefix(_HEADS)}, not opened yet,"
    )
    if known and known.approved_by:
        approvers = ", ".join(known.approved_by)
        raise Refused("approved_is_open", f"{name} is approved by {approvers}; merge or close it first")
    if proposal.kind == ROLLBACK:
        return
    if ref.startswith(_HEADS + branches_of(proposal.environment, ROLLBACK)):
        raise Refused("rollback_is_open", f"{name} is a rollback; merge or close it first")
    if _model_version(repository, ref, proposal.environment) > proposal.release.model_version:
        offered = proposal.release.model_version
        raise Refused("newer_is_open", f"{name} proposes a newer model than {offered}; close it first")


def _model_version(repository: Repository, ref: str, environment: str) -> int:
    """Of the release on a branch; 0 when it cannot be read, so that it stands in nobody's way."""
    try:
        return parse(repository.read(ref, path_of(environment)) or b"").model_version
    except Refused:
        return 0
