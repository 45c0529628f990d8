"""One change of one environment on its way to a pull request, safe to kill and to repeat.

`refs/promotions/<environment>` is the environment's slot: it points at the head of the one proposal that may
have an open pull request. One atomic push takes the slot, creates the branch and deletes the branches it
supersedes, so from then on nobody can open a pull request for those; then they are closed, then the own one
is opened. Whoever is killed in between is continued by whoever asks next.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from scripts.errors import Broken, Refused
from scripts.forge import BranchGone, Forge, PullRequest
from scripts.git import Identity
from scripts.release_file import Release, environment_name, parse, path_of
from scripts.repository import SLOTS, TRUNK, RefUpdate, Repository

Kind = Literal["promote", "rollback"]
PROMOTION: Kind = "promote"
ROLLBACK: Kind = "rollback"

_HEADS = "refs/heads/"
_TRIES = 10


@dataclass(frozen=True)
class Proposal:
    """What is to be merged. `branch` is a function of the content, so the same wish finds its own branch."""

    kind: Kind
    environment: str
    branch: str
    title: str
    message: str
    files: Mapping[str, bytes]
    release: Release
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


def open_proposals(forge: Forge, environment: str) -> list[PullRequest]:
    """Open pull requests of an environment: at most one, unless somebody works around the slot."""
    prefixes = [branches_of(environment, kind) for kind in (PROMOTION, ROLLBACK)]
    found = [pr for prefix in prefixes for pr in forge.pull_requests(prefix) if pr.state == "open"]
    return sorted(found, key=lambda pr: pr.number)


def release_proposed(repository: Repository, pull_request: PullRequest, environment: str) -> Release | None:
    """The release at the head of a pull request, None when it cannot be read."""
    try:
        return parse(repository.read(pull_request.head, path_of(environment)) or b"")
    except Refused:
        return None


def publish(forge: Forge, repository: Repository, proposal: Proposal, now: datetime) -> Published:
    """Make the proposal the only open pull request of its environment.

    Raises:
        Refused: One that may not be superseded is open, or another took the slot meanwhile.
    """
    head = _take_slot(forge, repository, proposal, now)
    superseded = _others(forge, proposal)
    if superseded:
        _still_ours(repository, proposal, head)
    for other in superseded:
        forge.close(other.number, f"Superseded by `{proposal.branch}` ({head}): {proposal.title}.")
    numbers = tuple(other.number for other in superseded)
    own = next((pr for pr in forge.pull_requests(proposal.branch) if _is_open_for(pr, proposal.branch)), None)
    if own:
        return Published(own, "found", numbers)
    try:
        opened = forge.open_pull_request(proposal.branch, proposal.title, proposal.body(head))
    except BranchGone:
        _still_ours(repository, proposal, head)
        raise Broken(f"branch {proposal.branch} was deleted on the forge; try again") from None
    return Published(opened, "opened", numbers)


def _take_slot(forge: Forge, repository: Repository, proposal: Proposal, now: datetime) -> str:
    """The head of the proposal's branch, once the environment's slot points at it."""
    slot_ref, branch_ref = SLOTS + environment_name(proposal.environment), _HEADS + proposal.branch
    for _ in range(_TRIES):
        for other in _others(forge, proposal):
            if repository.ref(_HEADS + other.branch):  # without its branch it cannot be merged any more
                _refuse_to_supersede(repository, proposal, other)
        slot, branch = repository.ref(slot_ref), repository.ref(branch_ref)
        ended = {pr.head for pr in forge.pull_requests(proposal.branch) if pr.state != "open"}
        head = branch if branch and branch not in ended else _commit(forge, repository, proposal, now)
        updates = [RefUpdate(slot_ref, slot, head), RefUpdate(branch_ref, branch, head)]
        updates += _deletions(repository, proposal.environment, keep=branch_ref)
        updates = [update for update in updates if update.old != update.new]
        if not updates or repository.push(updates):
            return head
        repository.fetch()
    raise Broken(f"the slot of {proposal.environment} moved {_TRIES} times; try again")


def _others(forge: Forge, proposal: Proposal) -> list[PullRequest]:
    return [pr for pr in open_proposals(forge, proposal.environment) if pr.branch != proposal.branch]


def _still_ours(repository: Repository, proposal: Proposal, head: str) -> None:
    """Refuse to go on when another proposal has the slot: what is open then may be that one."""
    repository.fetch()
    slot = repository.ref(SLOTS + proposal.environment)
    if slot != head:
        raise Superseded(proposal.environment, repository.commit(slot).subject if slot else "nobody")


def _commit(forge: Forge, repository: Repository, proposal: Proposal, now: datetime) -> str:
    identity = Identity(forge.account, f"{forge.account}@promotion.invalid")
    return repository.propose(TRUNK, proposal.files, proposal.message, identity, now)


def _deletions(repository: Repository, environment: str, keep: str) -> list[RefUpdate]:
    """Every other branch of the environment goes: merged, closed or superseded by now."""
    refs = {
        ref: sha
        for kind in (PROMOTION, ROLLBACK)
        for ref, sha in repository.refs(_HEADS + branches_of(environment, kind)).items()
    }
    return [RefUpdate(ref, sha, None) for ref, sha in sorted(refs.items()) if ref != keep]


def _refuse_to_supersede(repository: Repository, proposal: Proposal, other: PullRequest) -> None:
    name = f"#{other.number} ({other.title})"
    if other.approved_by:
        approvers = ", ".join(other.approved_by)
        raise Refused("approved_is_open", f"{name} is approved by {approvers}; merge or close it first")
    if proposal.kind == ROLLBACK:
        return
    if other.branch.startswith(branches_of(proposal.environment, ROLLBACK)):
        raise Refused("rollback_is_open", f"{name} is a rollback; merge or close it first")
    release = release_proposed(repository, other, proposal.environment)
    if release and release.model_version > proposal.release.model_version:
        offered = proposal.release.model_version
        raise Refused("newer_is_open", f"{name} proposes a newer model than {offered}; close it first")


def _is_open_for(pull_request: PullRequest, branch: str) -> bool:
    return pull_request.branch == branch and pull_request.state == "open"
