"""Gitea (tried on 1.26) as a forge.

It works on some things after it has answered: whether a pull request can be merged, and closing one whose
branch was deleted.
"""

from itertools import count
from typing import Any, ClassVar

from scripts.forges.answers import Pull, Ref, Review, Side, TimelineEntry, listed, rows_in
from scripts.forges.rest import TRUNK_BRANCH, RestForge

_PAGE = 50  # the most that Gitea gives by default


class GiteaForge(RestForge):
    """One repository on a Gitea server."""

    passing_refusals: ClassVar[frozenset[str]] = frozenset(
        {"Please try again later", "merge push out of date"}
    )

    def _rows(self, path: str, **query: str) -> list[Any]:
        """Gitea says in a header how many rows there are; a server may give smaller pages than asked for."""
        rows: list[Any] = []
        for page in count(1):
            answer = self.http.get(self._path(path), **query, page=page, limit=_PAGE)
            found = rows_in(answer)
            rows += found
            if not found or len(rows) >= int(answer.headers.get("x-total-count", 0)):
                return rows
        raise AssertionError  # pragma: no cover - counting has no end

    def _pulls(self, state: str) -> list[Pull]:
        return listed(Pull, self._rows("/pulls", state=state, sort="oldest", base_branch=TRUNK_BRANCH))

    def _open_for(self, branch: str) -> Pull | None:
        """Gitea has no filter by branch."""
        return next((pull for pull in self._pulls("open") if self._branch(pull) == branch), None)

    def _name_of(self, side: Side) -> str:
        """`ref` is another one once the branch is gone."""
        return side.label or side.ref

    def _head(self, pull: Pull) -> str:
        """Of an ended pull request Gitea shows where its branch is now; what it ended with is a ref of its own."""
        if pull.state == "open" or pull.head.ref != pull.head.label:
            return pull.head.sha
        ref = f"refs/pull/{pull.number}/head"
        found = listed(Ref, rows_in(self.http.get(self._path(f"/git/{ref}"))))
        return next(each.object.sha for each in found if each.ref == ref)

    def _closed_by(self, pull: Pull) -> str | None:
        """From the timeline, whose page may be short and whose count is only that of the page."""
        since = pull.closed_at.isoformat() if pull.closed_at else ""
        closers: list[str] = []
        for page in count(1):
            path = self._path(f"/issues/{pull.number}/timeline")
            entries = listed(TimelineEntry, rows_in(self.http.get(path, since=since, page=page, limit=_PAGE)))
            if not entries:
                return closers[-1] if closers else None
            closers += [entry.user.login for entry in entries if entry.type == "close" and entry.user]
        raise AssertionError  # pragma: no cover - counting has no end

    def _verdict(self, review: Review) -> bool | None:
        """`official` means that the reviewer may write, or is on the list of the branch's protection."""
        if review.state not in {"APPROVED", "REQUEST_CHANGES"}:
            return None
        return review.state == "APPROVED" and review.official and not (review.stale or review.dismissed)

    def _approval(self, head: str) -> dict[str, str]:
        return {"event": "APPROVED", "commit_id": head}

    def _merge(self, number: int, head: str, title: str, text: str) -> None:
        wanted = {
            "do": "squash",
            "head_commit_id": head,
            "merge_title_field": title,
            "merge_message_field": text,
        }
        self.http.once("POST", self._path(f"/pulls/{number}/merge"), body=wanted)

    def _branch_to_delete(self, branch: str) -> str:
        return self._path(f"/branches/{branch}")
