"""A forge's HTTP interface on loopback, with real branches in a bare repository and faults on demand.

Subclasses give it the shapes of GitHub and Gitea. Requests are served one after another.
"""

import json
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from scripts.history.git import Git, Identity

OWNER, NAME = "shop", "environments"
TOKENS = {"token-of-promoter": "promoter", "token-of-approver": "approver", "token-of-person": "bo"}
HUNG_SECONDS = 0.8


@dataclass
class FakePull:
    number: int
    title: str
    body: str
    branch: str
    author: str
    head: str
    state: str = "open"
    fork: bool = False
    closed_by: str | None = None
    closed_at: datetime | None = None
    merge_commit: str | None = None


@dataclass
class FakeReview:
    id: int
    number: int
    user: str
    state: str
    commit: str
    dismissed: bool = False
    outsider: bool = False


@dataclass
class FakeComment:
    id: int
    number: int
    user: str
    body: str


@dataclass(frozen=True)
class Exchange:
    """One request and what was answered."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    answer: Any


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of a method whose path fits.

    `how`: `refuse` answers at once instead of doing it; `cut` closes the connection before, `cut after` after it was
    done; `hang after` does it and says nothing for longer than anybody waits.
    """

    method: str
    path: str
    how: str
    answer: Answer = field(default_factory=lambda: Answer(503, {"message": "try later"}))
    times: int = 1
    met: int = 0


class FakeForge(ABC):
    """State and behaviour that both forges share.

    Args:
        directory: The bare repository; what is pushed there is on the forge.
        clock: The time of what it records.
    """

    kind: ClassVar[str]
    page_cap: int = 100

    def __init__(self, directory: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.git, self._clock = Git(directory), clock
        self.pulls: list[FakePull] = []
        self.reviews: list[FakeReview] = []
        self.comments: list[FakeComment] = []
        self.faults: list[Fault] = []
        self.exchanges: list[Exchange] = []
        self.merge_refusals: list[str] = []
        self.hidden_user = False
        self.url, self._lock = "", threading.Lock()

    @property
    def writes(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.exchanges if each.method != "GET"]

    def branch_head(self, branch: str) -> str | None:
        """Read where git keeps it: every request asks, and a git process for each takes longer than the rest."""
        try:
            return (self.git.directory / "refs" / "heads" / branch).read_text().strip()
        except FileNotFoundError:
            return None

    def pull(self, number: int) -> FakePull | None:
        return next((pull for pull in self.pulls if pull.number == number), None)

    def head_of(self, pull: FakePull) -> str:
        """What the pull request ended with, or where its branch is."""
        if pull.state == "open" and not pull.fork:
            pull.head = self.branch_head(pull.branch) or pull.head
        return pull.head

    def notice_pushes(self) -> None:
        """A forge closes a pull request whose branch was deleted, in the name of who deleted it."""
        for pull in self.pulls:
            if pull.state == "open" and not pull.fork and self.branch_head(pull.branch) is None:
                self.close(pull, "promoter")

    def close(self, pull: FakePull, user: str) -> None:
        self.head_of(pull)
        pull.state, pull.closed_by, pull.closed_at = "closed", user, self._clock()

    def open(self, user: str, title: str, body: str, branch: str) -> FakePull:
        pull = FakePull(len(self.pulls) + 1, title, body, branch, user, self.branch_head(branch) or "")
        self.pulls.append(pull)
        return pull

    def merge(self, pull: FakePull, user: str, message: str) -> str | None:
        """The squashed commit, None when the trunk changed the same files."""
        trunk = self.git.text("rev-parse", "refs/heads/main")
        head = self.head_of(pull)
        base = self.git.text("merge-base", trunk, head)
        wanted, since = self.git.changed_paths(base, head), self.git.changed_paths(base, trunk)
        if set(wanted) & set(since):
            return None
        tree = self.git.tree_with(trunk, {path: after for path, (_, after) in wanted.items()})
        who = Identity(user, f"{user}@example.com")
        commit = self.git.commit_tree(tree, [trunk], message, who, self._clock())
        self.git.run("update-ref", "refs/heads/main", commit, trunk)
        self.close(pull, user)
        pull.merge_commit = commit
        return commit

    def add_comment(self, number: int, user: str, body: str) -> FakeComment:
        comment = FakeComment(len(self.comments) + 1, number, user, body)
        self.comments.append(comment)
        return comment

    def add_review(self, number: int, user: str, state: str, commit: str, **more: bool) -> FakeReview:
        review = FakeReview(len(self.reviews) + 1, number, user, state, commit, **more)
        self.reviews.append(review)
        return review

    @abstractmethod
    def route(self, method: str, path: str, query: dict[str, str], body: Any, user: str) -> Answer:
        """Do what a request asks."""

    @abstractmethod
    def prefix(self) -> str:
        """What the paths of the interface start with."""

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], data: bytes
    ) -> tuple[Answer | None, str]:
        """The answer (None: cut the connection) and what is to be done about its delivery."""
        with self._lock:
            parts = urlsplit(target)
            path, query = parts.path.removeprefix(self.prefix()), dict(parse_qsl(parts.query))
            body = json.loads(data) if data else None
            user = TOKENS.get(headers.get("authorization", "").partition(" ")[2])
            self.notice_pushes()
            fault = self._fault(method, path)
            if user is None:
                answer = Answer(401, {"message": "Bad credentials"})
            elif fault and fault.how == "cut":
                return None, "cut"
            elif fault and fault.how == "refuse":
                answer = fault.answer
            elif path == "/user" and self.hidden_user:
                answer = Answer(403, {"message": "Resource not accessible by integration"})
            else:
                answer = self.route(method, path, query, body, user)
            self.exchanges.append(Exchange(method, path, query, body, answer.status, answer.body))
            return answer, fault.how if fault else ""

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.method == method and re.search(fault.path, path) and fault.met < fault.times:
                fault.met += 1
                return fault
        return None

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of the forge while it is up."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self.url
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def page_of(rows: list[Any], query: Mapping[str, str], size: int) -> tuple[list[Any], bool]:
    """The rows of the page that a query asks for, and whether there are more."""
    page = int(query.get("page", 1))
    return rows[(page - 1) * size : page * size], page * size < len(rows)


def _handler(forge: FakeForge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer, how = forge.handle(
                self.command, self.path, {key.lower(): text for key, text in self.headers.items()}, data
            )
            if answer is None or how in {"cut", "cut after"}:
                self.close_connection = True
                return
            if how == "hang after":
                time.sleep(HUNG_SECONDS)
                self.close_connection = True
                return
            content = b"" if answer.status == 204 else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            pass

    return Handler
