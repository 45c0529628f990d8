"""What promotion needs from a forge: pull requests beside a Git repository.

Branches and commits go through Git itself; a forge only adds pull requests, approvals and the merge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from scripts.errors import Refused


class BranchGone(Exception):
    """The branch a pull request was to be opened for is not there (any more)."""


class MergeRefused(Refused):
    """The forge does not merge: the head moved, the trunk changed the same files, or it is closed."""

    def __init__(self, message: str) -> None:
        super().__init__("merge_refused", message)


@dataclass(frozen=True)
class PullRequest:
    """A pull request as the forge shows it now.

    `approved_by` counts approvals of the present head only; `closed_by` is set when it was closed unmerged.
    """

    number: int
    url: str
    title: str
    body: str
    branch: str
    head: str
    state: Literal["open", "merged", "closed"]
    author: str
    approved_by: tuple[str, ...] = ()
    closed_by: str | None = None
    closed_at: datetime | None = None
    merge_commit: str | None = None


class Forge(Protocol):
    """One repository on a forge, seen by one account."""

    @property
    def account(self) -> str:
        """Who this is on the forge; the author of its pull requests."""

    @property
    def remote(self) -> str:
        """Where Git fetches from and pushes to, without credentials."""

    @property
    def git_environment(self) -> Mapping[str, str]:
        """What Git needs in its environment to get in at `remote`; never to be logged."""

    def pull_requests(self, *branch_prefixes: str, people_of_ended: bool = True) -> list[PullRequest]:
        """Every pull request, open or not, whose branch starts with one of these; oldest first.

        Args:
            branch_prefixes: None of them means none.
            people_of_ended: False may leave out who approved and who closed the ended ones, which a forge of the
                network is asked for one by one.
        """

    def get(self, number: int) -> PullRequest:
        """One pull request.

        Raises:
            Refused: There is none.
        """

    def open_pull_request(self, branch: str, title: str, body: str) -> PullRequest:
        """A new pull request, or the one that is open for this branch already.

        Raises:
            BranchGone: The branch does not exist.
        """

    def close(self, number: int, comment: str) -> None:
        """Say why and close without a merge; nothing happens when it is closed already."""

    def rewrite(self, number: int, title: str, body: str) -> None:
        """Put another text into an open pull request."""

    def comment(self, number: int, marker: str, text: str) -> None:
        """One comment of this account for a marker: written the first time, replaced in place later."""

    def approve(self, number: int, head: str) -> None:
        """Approve the named head as this account.

        Raises:
            Refused: This account is the author, or the head is another one by now.
        """

    def merge(self, number: int, head: str, message: str) -> str:
        """Squash onto the trunk if the head is still this one; the id of that commit, also when asked again.

        Raises:
            MergeRefused: Another head, a closed pull request, or a trunk that changed the same files.
        """
