"""GitHub as a forge."""

from itertools import count
from typing import Any, ClassVar

from scripts.forges.answers import Issue, Merge, Pull, Review, Side, listed, parsed, rows_in
from scripts.forges.rest import TRUNK_BRANCH, RestForge

API_VERSION = "2022-11-28"  # the next one (2026-03-10) no longer says which commit a merge made

_PAGE = 100
_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})


class GitHubForge(RestForge):
    """One repository on GitHub."""

    passing_refusals: ClassVar[frozenset[str]] = frozenset(
        {"Base branch was modified. Review and try the merge again."}
    )

    def _rows(self, path: str, **query: str) -> list[Any]:
        rows: list[Any] = []
        for page in count(1):
            answer = self.http.get(self._path(path), **query, per_page=_PAGE, page=page)
            rows += rows_in(answer)
            if "next" not in answer.links:
                return rows
        raise AssertionError  # pragma: no cover - counting has no end

    def _pulls(self, state: str) -> list[Pull]:
        query = {"state": state, "base": TRUNK_BRANCH, "sort": "created", "direction": "asc"}
        return listed(Pull, self._rows("/pulls", **query))

    def _open_for(self, branch: str) -> Pull | None:
        """The filter is `owner:branch`; without the owner GitHub ignores it and gives them all."""
        head = f"{self.repository.partition('/')[0]}:{branch}"
        pulls = listed(Pull, self._rows("/pulls", state="open", base=TRUNK_BRANCH, head=head))
        return next((pull for pull in pulls if self._branch(pull) == branch), None)

    def _name_of(self, side: Side) -> str:
        return side.ref

    def _head(self, pull: Pull) -> str:
        return pull.head.sha

    def _closed_by(self, pull: Pull) -> str | None:
        issue = parsed(Issue, self.http.get(self._path(f"/issues/{pull.number}")))
        return issue.closed_by.login if issue.closed_by else None

    def _verdict(self, review: Review) -> bool | None:
        """Anybody may review a public repository, so only somebody who belongs to it has a say."""
        if review.state not in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}:
            return None
        return review.state == "APPROVED" and review.author_association in _INSIDERS

    def _approval(self, head: str) -> dict[str, str]:
        return {"event": "APPROVE", "commit_id": head}

    def _merge(self, number: int, head: str, title: str, text: str) -> str:
        wanted = {"merge_method": "squash", "sha": head, "commit_title": title, "commit_message": text}
        answer = self.http.once("PUT", self._path(f"/pulls/{number}/merge"), body=wanted)
        return parsed(Merge, answer).sha

    def _branch_to_delete(self, branch: str) -> str:
        return self._path(f"/git/refs/heads/{branch}")
