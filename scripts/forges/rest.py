"""What GitHub and Gitea have in common as forges: pull requests, reviews, comments and merges over HTTP.

Every write is safe to repeat: it is looked for first where it could be there, and after an answer that was lost.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from scripts.errors import Broken, Refused
from scripts.forges.answers import Branch, Comment, Pull, Review, User, listed, parsed
from scripts.forges.forge import BranchGone, MergeRefused, PullRequest
from scripts.forges.git_credentials import environment_for
from scripts.forges.transport import ForgeHttp, ForgeRefused, Unsettled

TRUNK_BRANCH = "main"

_NOT_FOUND, _NOT_ALLOWED, _CONFLICT, _INVALID = 404, 405, 409, 422


class RestForge(ABC):
    """One repository on a forge, seen by the account of a token.

    Args:
        http: The forge's interface.
        repository: `owner/name`.
        remote: The repository for Git, without credentials.
        token: Goes to Git by environment only.
        account: Who this is where the token may not ask, as in GitHub's own workflows; elsewhere the forge is asked.
    """

    passing_refusals: ClassVar[frozenset[str]]

    def __init__(self, http: ForgeHttp, repository: str, remote: str, token: str, account: str) -> None:
        self.http, self.repository, self.remote = http, repository, remote
        self._token, self._account = token, account

    @cached_property
    def account(self) -> str:
        """The login that the token belongs to."""
        try:
            return parsed(User, self.http.get("/user")).login
        except ForgeRefused as refusal:
            if refusal.status != httpx.codes.FORBIDDEN:
                raise
            return self._account

    @property
    def git_environment(self) -> Mapping[str, str]:
        """What lets Git in at `remote`."""
        return environment_for(self.remote, self._token)

    def pull_requests(self, *branch_prefixes: str, people_of_ended: bool = True) -> list[PullRequest]:
        """Every pull request into the trunk whose branch starts with one of these; oldest first."""
        pulls = {pull.number: pull for pull in self._pulls("all")}
        return [
            self._shown(pulls[number], people=people_of_ended or pulls[number].state == "open")
            for number in sorted(pulls)
            if self._branch(pulls[number]).startswith(branch_prefixes)
        ]

    def get(self, number: int) -> PullRequest:
        """One pull request."""
        return self._shown(self._pull(number), people=True)

    def open_pull_request(self, branch: str, title: str, body: str) -> PullRequest:
        """A new pull request, or the one that is open for this branch already."""
        wanted = {"title": title, "body": body, "head": branch, "base": TRUNK_BRANCH}

        def write() -> Pull:
            try:
                return parsed(Pull, self.http.once("POST", self._path("/pulls"), body=wanted))
            except ForgeRefused as refusal:
                if (found := self._open_for(branch)) is not None:
                    return found
                if self._branch_head(branch) is None:
                    raise BranchGone(branch) from None
                if refusal.status == _NOT_FOUND:  # the forge has not heard of the push yet
                    raise Unsettled(str(refusal)) from None
                raise

        return self._shown(self.http.settled(write, lambda: self._open_for(branch)), people=True)

    def close(self, number: int, comment: str) -> None:
        """Say why and close without a merge; nothing happens when it is closed already."""
        if self._pull(number).state == "closed":
            return
        if not any(self._is_own(each) and each.body == comment for each in self._comments(number)):
            self._say(number, comment)
        try:
            self.http.idempotent("PATCH", self._path(f"/pulls/{number}"), {"state": "closed"})
        except ForgeRefused:
            if self._pull(number).state == "open":
                raise

    def rewrite(self, number: int, title: str, body: str) -> None:
        """Put another text into an open pull request."""
        self.http.idempotent("PATCH", self._path(f"/pulls/{number}"), {"title": title, "body": body})

    def comment(self, number: int, marker: str, text: str) -> None:
        """One comment of this account for a marker: written the first time, replaced in place later."""
        first_line = f"<!-- {marker} -->"
        wanted = f"{first_line}\n{text}"
        for known in self._comments(number):
            if self._is_own(known) and (known.body or "").partition("\n")[0].rstrip("\r") == first_line:
                if known.body != wanted:
                    self.http.idempotent(
                        "PATCH", self._path(f"/issues/comments/{known.id}"), {"body": wanted}
                    )
                return
        self._say(number, wanted)

    def approve(self, number: int, head: str) -> None:
        """Approve the named head as this account."""
        pull = self._pull(number)
        if pull.user and pull.user.login == self.account:
            raise Refused(
                "own_approval", f"{self.account} is the author of #{number}; another account approves it"
            )
        if pull.state == "closed" or self._head(pull) != head:
            found = f"{pull.state} at {self._head(pull)[:12]}"
            raise Refused("stale_approval", f"#{number} is {found}, not open at {head[:12]}")

        def look() -> bool | None:
            return self.account in self._approvers_of(number, head) or None

        review, path = self._approval(head), self._path(f"/pulls/{number}/reviews")
        if not look():
            self.http.settled(lambda: self.http.once("POST", path, body=review).is_success, look)
            if not look():
                message = (
                    f"the approval of #{number} by {self.account} does not count: may this account write?"
                )
                raise Refused("no_say", message)

    def merge(self, number: int, head: str, message: str) -> str:
        """Squash onto the trunk if the head is still this one."""
        title, _, text = (part.strip() for part in message.partition("\n"))
        commit = None
        for attempt in range(self.http.patience.tries + 1):
            pull = self._pull(number)
            commit = pull.merge_commit_sha if pull.merged_at else commit
            if commit:
                self._delete_branch(self._branch(pull), self._head(pull))
                return commit
            self._refuse_to_merge(pull, head)
            try:
                commit = self._merge(number, head, title, text)
            except ForgeRefused as refusal:
                self._judge_refusal(number, refusal, attempt)
            except Unsettled as fault:
                self.http.wait_after(fault, attempt)
        raise Broken(f"#{number} was merged but {self.remote} does not show it; ask again")

    def _refuse_to_merge(self, pull: Pull, head: str) -> None:
        if pull.state == "closed":
            raise MergeRefused(f"#{pull.number} was closed by {self._closed_by(pull)}; open it again")
        if self._head(pull) != head:
            raise MergeRefused(
                f"#{pull.number} has head {self._head(pull)[:12]}, the reviewed one was {head[:12]}"
            )

    def _judge_refusal(self, number: int, refusal: ForgeRefused, attempt: int) -> None:
        """Come back when asking again can end otherwise."""
        if self._pull(number).merged_at is not None:
            return
        if refusal.status not in {_NOT_ALLOWED, _CONFLICT, _INVALID}:
            raise refusal
        if refusal.sentence not in self.passing_refusals or attempt == self.http.patience.tries - 1:
            raise MergeRefused(
                f"#{number} is not merged: {refusal.sentence}; if {TRUNK_BRANCH} changed the same files,"
                " open the promotion again"
            ) from None
        self.http.patience.wait(attempt)

    def _delete_branch(self, branch: str, head: str) -> None:
        """Delete what was merged, not what somebody has put there since; one that has to stay does no harm."""
        if self._branch_head(branch) == head:
            with suppress(ForgeRefused):
                self.http.idempotent("DELETE", self._branch_to_delete(branch))

    def _shown(self, pull: Pull, *, people: bool) -> PullRequest:
        head, closed = self._head(pull), pull.state == "closed" and pull.merged_at is None
        author = pull.user.login if pull.user else ""
        return PullRequest(
            number=pull.number,
            url=pull.html_url,
            title=pull.title,
            body=(pull.body or "").replace("\r\n", "\n"),
            branch=self._branch(pull),
            head=head,
            state="merged" if pull.merged_at else pull.state,
            author=author,
            approved_by=self._approvers_of(pull.number, head, author) if people else (),
            closed_by=self._closed_by(pull) if people and closed else None,
            closed_at=pull.closed_at if closed else None,
            merge_commit=pull.merge_commit_sha if pull.merged_at else None,
        )

    def _branch(self, pull: Pull) -> str:
        """The branch; one of a fork can carry any name, so it is not taken for one of this repository."""
        return f"fork:{pull.head.label}" if pull.is_fork else self._name_of(pull.head)

    def _approvers_of(self, number: int, head: str, author: str | None = None) -> tuple[str, ...]:
        """Whose last word on this very commit is yes, and who has a say; never the author."""
        last: dict[str, bool] = {}
        for review in sorted(self._reviews(number), key=lambda review: review.id):
            verdict = self._verdict(review)
            if review.user and verdict is not None:
                last[review.user.login] = verdict and review.commit_id == head
        return tuple(sorted(login for login, approves in last.items() if approves and login != author))

    def _pull(self, number: int) -> Pull:
        try:
            return parsed(Pull, self.http.get(self._path(f"/pulls/{number}")))
        except ForgeRefused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            raise Refused("no_pull_request", f"{self.remote} has no pull request #{number}") from None

    def _say(self, number: int, text: str) -> None:
        def look() -> bool | None:
            return any(self._is_own(each) and each.body == text for each in self._comments(number)) or None

        path = self._path(f"/issues/{number}/comments")
        self.http.settled(lambda: self.http.once("POST", path, body={"body": text}).is_success, look)

    def _is_own(self, comment: Comment) -> bool:
        return comment.user is not None and comment.user.login == self.account

    def _comments(self, number: int) -> list[Comment]:
        return listed(Comment, self._rows(f"/issues/{number}/comments"))

    def _reviews(self, number: int) -> list[Review]:
        return listed(Review, self._rows(f"/pulls/{number}/reviews"))

    def _path(self, path: str) -> str:
        return f"/repos/{self.repository}{path}"

    def _branch_head(self, branch: str) -> str | None:
        """The commit a branch points at, None when there is no such branch."""
        try:
            answer = self.http.get(self._path(f"/branches/{quote(branch)}"))
        except ForgeRefused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return None
        return parsed(Branch, answer).commit.id

    @abstractmethod
    def _rows(self, path: str, **query: str) -> list[Any]:
        """Every row of a list, from the first page to the last."""

    @abstractmethod
    def _pulls(self, state: str) -> list[Pull]:
        """The pull requests into the trunk that are `open`, or all."""

    @abstractmethod
    def _open_for(self, branch: str) -> Pull | None:
        """The open pull request of a branch."""

    @abstractmethod
    def _name_of(self, side: Any) -> str:
        """The name of a branch, also when it was deleted."""

    @abstractmethod
    def _head(self, pull: Pull) -> str:
        """The last commit; of an ended pull request the one that it ended with."""

    @abstractmethod
    def _closed_by(self, pull: Pull) -> str | None:
        """Who closed it, None when the forge cannot tell."""

    @abstractmethod
    def _verdict(self, review: Review) -> bool | None:
        """Whether it says yes, still stands and comes from somebody who has a say; None for a mere comment."""

    @abstractmethod
    def _approval(self, head: str) -> dict[str, str]:
        """The body of a request that approves a commit."""

    @abstractmethod
    def _merge(self, number: int, head: str, title: str, text: str) -> str | None:
        """One request to squash, pinned to the head; the new commit if the answer names it."""

    @abstractmethod
    def _branch_to_delete(self, branch: str) -> str:
        """The path whose deletion deletes a branch."""
