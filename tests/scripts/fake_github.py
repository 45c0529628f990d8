"""The part of GitHub's interface that promotion uses; its answers are built from GitHub's published description.

What the description does not say, the sentences of refusals and when they come, is from GitHub's documentation
and from what users report.
"""

import re
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from githubkit_schemas.v2022_11_28 import models

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
from tests.scripts.github_description import answer_of, user

_REPO = f"/repos/{OWNER}/{NAME}"
_HELP = "https://docs.github.com/rest"
_NOT_FOUND = Answer(404, {"message": "Not Found", "documentation_url": _HELP, "status": "404"})


def said(status: int, message: str, *errors: Any) -> Answer:
    more = {"errors": list(errors)} if errors else {}
    return Answer(status, {"message": message, "documentation_url": _HELP, "status": str(status), **more})


def time_of(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


class FakeGitHub(FakeForge):
    kind: ClassVar[str] = "github"

    def prefix(self) -> str:
        return "/api/v3"

    def route(self, method: str, path: str, query: dict[str, str], body: Any, login: str) -> Answer:
        if path == "/user":
            return Answer(200, answer_of(models.PublicUser, login=login))
        path = path.removeprefix(_REPO)
        if path == "/pulls":
            return self._list(query) if method == "GET" else self._create(login, body)
        if match := re.fullmatch(r"/branches/(.+)", path):
            return self._branch(match[1])
        if match := re.fullmatch(r"/git/refs/heads/(.+)", path):
            return self._delete(match[1])
        if match := re.fullmatch(r"/issues/comments/(\d+)", path):
            comment = next(each for each in self.comments if each.id == int(match[1]))
            comment.body = body["body"]
            return Answer(200, _comment(comment))
        match = re.fullmatch(r"/(pulls/|issues/)(\d+)(.*)", path)
        assert match, path
        found = self.pull(int(match[2]))
        return (
            self._of_pull(f"{method} {match[1]}{match[3]}", found, query, body, login)
            if found
            else _NOT_FOUND
        )

    def _of_pull(  # noqa: PLR0911 - a table of what can be asked
        self, what: str, pull: FakePull, query: dict[str, str], body: Any, login: str
    ) -> Answer:
        reviews = [_review(each) for each in self.reviews if each.number == pull.number]
        comments = [_comment(each) for each in self.comments if each.number == pull.number]
        match what:
            case "GET pulls/":
                return Answer(200, self._pull(pull, models.PullRequest, merged=pull.merge_commit is not None))
            case "GET issues/":
                closer = user(pull.closed_by)
                return Answer(200, answer_of(models.Issue, number=pull.number, closed_by=closer))
            case "PATCH pulls/" if "body" in body:
                pull.title, pull.body = body["title"], body["body"]
                return Answer(200, self._pull(pull, models.PullRequest, merged=False))
            case "PATCH pulls/":
                return self._edit(pull, login, body)
            case "GET pulls//reviews":
                return self._rows(reviews, query)
            case "POST pulls//reviews":
                return self._review_by(login, pull, body)
            case "GET issues//comments":
                return self._rows(comments, query)
            case "POST issues//comments":
                return Answer(201, _comment(self.add_comment(pull.number, login, body["body"])))
            case "PUT pulls//merge":
                return self._merge_by(login, pull, body)
        raise AssertionError(what)

    def _rows(self, rows: list[Any], query: dict[str, str]) -> Answer:
        """More pages are announced by a link; a single page has none."""
        found, more = page_of(rows, query, min(int(query.get("per_page", 30)), self.page_cap))
        page = int(query.get("page", 1)) + 1
        return Answer(200, found, {"Link": f'<{self.url}/?page={page}>; rel="next"'} if more else {})

    def _list(self, query: dict[str, str]) -> Answer:
        """A filter by head that is not `owner:branch` is ignored."""
        owner, colon, branch = query.get("head", "").partition(":")
        pulls = [
            pull
            for pull in self.pulls
            if query["state"] in {"all", pull.state}
            and not (colon and (owner != ("eve" if pull.fork else OWNER) or pull.branch != branch))
        ]
        if query.get("direction") != "asc":
            pulls.reverse()
        return self._rows([self._pull(pull, models.PullRequestSimple) for pull in pulls], query)

    def _create(self, login: str, body: Any) -> Answer:
        branch, at = body["head"], {"resource": "PullRequest"}
        if self.branch_head(branch) is None:
            return said(422, "Validation Failed", {**at, "field": "head", "code": "invalid"})
        for pull in self.pulls:
            if pull.branch == branch and pull.state == "open" and not pull.fork:
                message = f"A pull request already exists for {OWNER}:{branch}."
                return said(422, "Validation Failed", {**at, "code": "custom", "message": message})
        opened = self.open(login, body["title"], body["body"], branch)
        return Answer(201, self._pull(opened, models.PullRequest, merged=False))

    def _edit(self, pull: FakePull, login: str, body: Any) -> Answer:
        pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
        if body.get("state") == "closed" and pull.state == "open":
            self.close(pull, login)
        return Answer(200, self._pull(pull, models.PullRequest, merged=pull.merge_commit is not None))

    def _review_by(self, login: str, pull: FakePull, body: Any) -> Answer:
        assert body["event"] == "APPROVE"
        if pull.author == login:
            return said(422, "Unprocessable Entity", "Review Can not approve your own pull request")
        return Answer(200, _review(self.add_review(pull.number, login, "APPROVED", body["commit_id"])))

    def _merge_by(self, login: str, pull: FakePull, body: Any) -> Answer:
        if self.merge_refusals:
            return said(405, self.merge_refusals.pop(0))
        if pull.state != "open":
            return said(405, "Pull Request is not mergeable")
        if body["sha"] != self.head_of(pull):
            return said(409, "Head branch was modified. Review and try the merge again.")
        assert body["merge_method"] == "squash"
        commit = self.merge(pull, login, f"{body['commit_title']}\n\n{body['commit_message']}")
        if commit is None:
            return said(405, "Pull Request is not mergeable")
        message = "Pull Request successfully merged"
        return Answer(200, answer_of(models.PullRequestMergeResult, sha=commit, merged=True, message=message))

    def _branch(self, branch: str) -> Answer:
        head = self.branch_head(branch)
        if head is None:
            return said(404, "Branch not found")
        commit = answer_of(models.Commit, sha=head)
        return Answer(200, answer_of(models.BranchWithProtection, name=branch, commit=commit))

    def _delete(self, branch: str) -> Answer:
        head = self.branch_head(branch)
        if head is None:
            return said(422, "Reference does not exist")
        self.git.run("update-ref", "-d", f"refs/heads/{branch}", head)
        return Answer(204)

    def _pull(self, pull: FakePull, kind: Any, **more: Any) -> dict[str, Any]:
        side = partial(
            answer_of,
            models.PullRequestSimplePropHead
            if kind is models.PullRequestSimple
            else models.PullRequestPropHead,
        )
        home, other = answer_of(models.Repository, full_name=f"{OWNER}/{NAME}"), None
        merged = pull.merge_commit is not None
        return answer_of(
            kind,
            number=pull.number,
            html_url=f"{self.url}/{OWNER}/{NAME}/pull/{pull.number}",
            title=pull.title,
            body=pull.body,
            user=user(pull.author),
            state=pull.state,
            merged_at=time_of(pull.closed_at) if merged else None,
            merge_commit_sha=pull.merge_commit or "f" * 40,  # of an open one: a merge for trying out
            closed_at=time_of(pull.closed_at),
            head=side(
                label=f"{OWNER}:{pull.branch}",
                ref=pull.branch,
                sha=self.head_of(pull),
                repo=other if pull.fork else home,
                user=user(OWNER),
            ),
            base=side(label=f"{OWNER}:main", ref="main", sha="0" * 40, repo=home, user=user(OWNER)),
            **more,
        )


def _review(review: FakeReview) -> dict[str, Any]:
    return answer_of(
        models.PullRequestReview,
        id=review.id,
        user=user(review.user),
        state="DISMISSED" if review.dismissed else review.state,
        commit_id=review.commit,
        author_association="NONE" if review.outsider else "COLLABORATOR",
    )


def _comment(comment: FakeComment) -> dict[str, Any]:
    return answer_of(models.IssueComment, id=comment.id, user=user(comment.user), body=comment.body)
