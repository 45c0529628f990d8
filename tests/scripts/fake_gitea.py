"""The part of Gitea's interface that promotion uses, as a Gitea 1.26 was seen to answer."""

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.scripts.fake_forge import (
    NAME,
    OWNER,
    Answer,
    FakeComment,
    FakeForge,
    FakePull,
    FakeReview,
    page_of,
)

_REPO = f"/repos/{OWNER}/{NAME}"
_NOT_FOUND = Answer(404, {"errors": None, "message": "not found", "url": "http://x/api/swagger"})
_BEFORE = {"id": 7, "type": "pull_push", "user": {"login": "promoter"}, "created_at": "2026-01-01T00:00:00Z"}


def said(status: int, message: str) -> Answer:
    return Answer(status, {"message": message, "url": "http://x/api/swagger"})


def time_of(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


class FakeGitea(FakeForge):
    kind: ClassVar[str] = "gitea"
    page_cap = 50
    approvals_needed = 0

    def prefix(self) -> str:
        return "/api/v1"

    def route(self, method: str, path: str, query: dict[str, str], body: Any, user: str) -> Answer:
        if path == "/user":
            return Answer(200, {"login": user})
        path = path.removeprefix(_REPO)
        if path == "/pulls":
            return self._list(query) if method == "GET" else self._create(user, body)
        if match := re.fullmatch(r"/branches/(.+)", path):
            return self._branch(method, match[1])
        if match := re.fullmatch(r"/issues/comments/(\d+)", path):
            comment = next(each for each in self.comments if each.id == int(match[1]))
            comment.body = body["body"]
            return Answer(200, _comment(comment))
        if match := re.fullmatch(r"/git/refs/pull/(\d+)/head", path):
            pull = self.pull(int(match[1]))
            assert pull
            return Answer(
                200, [{"ref": f"refs/pull/{pull.number}/head", "object": {"sha": self.head_of(pull)}}]
            )
        match = re.fullmatch(r"/(?:pulls|issues)/(\d+)(.*)", path)
        assert match, path
        found = self.pull(int(match[1]))
        return self._of_pull(method, found, match[2], query, body, user) if found else _NOT_FOUND

    def _of_pull(  # noqa: PLR0911, PLR0917 - a table of what can be asked
        self, method: str, pull: FakePull, rest: str, query: dict[str, str], body: Any, user: str
    ) -> Answer:
        reviews = [_review(each) for each in self.reviews if each.number == pull.number]
        comments = [_comment(each) for each in self.comments if each.number == pull.number]
        match method, rest:
            case "GET", "":
                return Answer(200, self._pull(pull))
            case "PATCH", "" if "body" in body:
                pull.title, pull.body = body["title"], body["body"]
                return Answer(201, self._pull(pull))
            case "PATCH", "":
                return self._edit(pull, user, body)
            case "GET", "/reviews":
                return self._rows(reviews, query)
            case "POST", "/reviews":
                return self._review_by(user, pull, body)
            case "GET", "/comments":  # has no pages: the parameters are ignored
                return Answer(200, comments, {"X-Total-Count": str(len(comments))})
            case "POST", "/comments":
                return Answer(201, _comment(self.add_comment(pull.number, user, body["body"])))
            case "GET", "/timeline":
                return self._timeline(pull, query)
            case "POST", "/merge":
                return self._merge_by(user, pull, body)
        raise AssertionError(rest)

    def _rows(self, rows: list[Any], query: dict[str, str]) -> Answer:
        size = min(int(query.get("limit", 30)), self.page_cap)
        return Answer(200, page_of(rows, query, size)[0], {"X-Total-Count": str(len(rows))})

    def _list(self, query: dict[str, str]) -> Answer:
        """There is no filter by head; one that is sent is ignored."""
        assert (query["sort"], query["base_branch"]) == ("oldest", "main")
        pulls = [pull for pull in self.pulls if query["state"] in {"all", pull.state}]
        return self._rows([self._pull(pull) for pull in pulls], query)

    def _create(self, user: str, body: Any) -> Answer:
        branch = body["head"]
        if self.branch_head(branch) is None:
            return _NOT_FOUND
        for pull in self.pulls:
            if pull.branch == branch and pull.state == "open" and not pull.fork:
                return said(409, f"pull request already exists for these targets [id: {pull.number}, …]")
        return Answer(201, self._pull(self.open(user, body["title"], body["body"], branch)))

    def _edit(self, pull: FakePull, user: str, body: Any) -> Answer:
        pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
        if "state" in body and pull.merge_commit:
            return said(412, "cannot change state of this pull request, it was already merged")
        if body.get("state") == "closed" and pull.state == "open":
            self.close(pull, user)
        return Answer(201, self._pull(pull))

    def _review_by(self, user: str, pull: FakePull, body: Any) -> Answer:
        assert body["event"] == "APPROVED"
        if pull.author == user:
            return said(422, "approve your own pull is not allowed")
        if pull.state != "open":
            return said(422, "can't submit review for a closed or merged PR")
        return Answer(200, _review(self.add_review(pull.number, user, "APPROVED", body["commit_id"])))

    def _timeline(self, pull: FakePull, query: dict[str, str]) -> Answer:
        """Pages whose count is that of the page; null when there is nothing."""
        close = {"type": "close", "user": {"login": pull.closed_by}, "created_at": time_of(pull.closed_at)}
        entries = [each for each in (_BEFORE, close) if str(each["created_at"]) >= query["since"][:19]]
        rows, _ = page_of(entries, query, 1)
        return Answer(200, rows or None, {"X-Total-Count": str(len(rows))})

    def _merge_by(self, user: str, pull: FakePull, body: Any) -> Answer:
        if pull.merge_commit:
            return said(405, "The PR is already merged")
        if self.merge_refusals:
            return said(405, self.merge_refusals.pop(0))
        if sum(each.number == pull.number for each in self.reviews) < self.approvals_needed:
            return said(405, "Does not have enough approvals")
        if body["head_commit_id"] != self.head_of(pull):
            return said(409, "head out of date")
        assert body["do"] == "squash"
        message = f"{body['merge_title_field'].strip()}\n\n{body['merge_message_field'].strip()}"
        return (
            Answer(200) if self.merge(pull, user, message) else said(405, "Please try again later")
        )  # a conflict

    def _branch(self, method: str, branch: str) -> Answer:
        head = self.branch_head(branch)
        if head is None:
            return _NOT_FOUND
        if method == "DELETE":
            self.git.run("update-ref", "-d", f"refs/heads/{branch}", head)
            return Answer(204)
        return Answer(200, {"name": branch, "commit": {"id": head}})

    def _pull(self, pull: FakePull) -> dict[str, Any]:
        """The head of an ended pull request is where its branch is now, as on Gitea."""
        head, now = self.head_of(pull), None if pull.fork else self.branch_head(pull.branch)
        repo = {"full_name": f"{OWNER}/{NAME}"}
        merged = pull.merge_commit is not None
        return {
            "number": pull.number,
            "html_url": f"{self.url}/{OWNER}/{NAME}/pulls/{pull.number}",
            "title": pull.title,
            "body": pull.body,
            "user": {"login": pull.author},
            "state": pull.state,
            "merged": merged,
            "merged_at": time_of(pull.closed_at) if merged else None,
            "merge_commit_sha": pull.merge_commit,
            "closed_at": time_of(pull.closed_at),
            "base": {"label": "main", "ref": "main", "sha": "0" * 40, "repo": repo},
            "head": {
                "label": pull.branch,
                "ref": pull.branch if now else f"refs/pull/{pull.number}/head",
                "sha": now or head,
                "repo": {"full_name": "eve/fork"} if pull.fork else repo,
            },
        }


def _review(review: FakeReview) -> dict[str, Any]:
    return {
        "id": review.id,
        "user": {"login": review.user},
        "state": review.state,
        "commit_id": review.commit,
        "stale": False,
        "dismissed": review.dismissed,
        "official": not review.outsider,
    }


def _comment(comment: FakeComment) -> dict[str, Any]:
    return {"id": comment.id, "user": {"login": comment.user}, "body": comment.body}
