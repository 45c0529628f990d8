"""Worlds for promotions on a real Gitea: a repository of a random name, three accounts, gone at the end."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from scripts.check.merging import Merged
from scripts.forges.git_credentials import environment_for
from scripts.forges.gitea import GiteaForge
from scripts.forges.transport import ForgeHttp, Patience
from scripts.history.git import Git
from scripts.history.repository import Repository
from tests.scripts.world import World

OWNER, PROMOTER, APPROVER = "owner", "promoter", "approver"
PEOPLE = {"bo": APPROVER, "ada": OWNER}
"""The accounts that people of the tests use."""


@dataclass(frozen=True)
class GiteaRepository:
    """`owner/<random>`; its trunk takes pull requests with one approval, and the owner's pushes."""

    url: str
    tokens: dict[str, str]
    name: str

    @property
    def remote(self) -> str:
        return f"{self.url}/{self.name}.git"

    def git_environment(self, account: str) -> dict[str, str]:
        return dict(environment_for(self.remote, self.tokens[account]))

    def ask(self, method: str, path: str, body: Any = None, account: str = OWNER) -> Any:
        headers = {"Authorization": f"token {self.tokens[account]}"}
        answer = httpx.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def make(self, first: Git) -> None:
        """With the trunk of another repository, and everybody in their place."""
        short = self.name.partition("/")[2]
        self.ask("POST", "/user/repos", {"name": short, "private": True, "default_branch": "main"})
        for account in (PROMOTER, APPROVER):
            self.ask("PUT", f"/repos/{self.name}/collaborators/{account}", {"permission": "write"})
        first.run("push", "--quiet", self.remote, "main:main", env=self.git_environment(OWNER))
        while self.ask("GET", f"/repos/{self.name}")["empty"]:  # until then there are no pull requests
            time.sleep(0.05)
        rule = {
            "rule_name": "main",
            "enable_push": True,
            "enable_push_whitelist": True,
            "push_whitelist_usernames": [OWNER],
            "required_approvals": 1,
        }
        self.ask("POST", f"/repos/{self.name}/branch_protections", rule)


class PeoplesGitea(GiteaForge):
    """Gitea with what the tests of the local forge ask of theirs."""

    def __init__(self, repository: GiteaRepository, account: str) -> None:
        token = repository.tokens[account]
        headers = {"Authorization": f"token {token}"}
        http = ForgeHttp(f"{repository.url}/api/v1", headers, token, Patience(tries=7))
        super().__init__(http, repository.name, repository.remote, token, "nobody")
        self.on = repository

    def acting_as(self, person: str) -> "PeoplesGitea":
        """The same repository, used by another account."""
        return PeoplesGitea(self.on, PEOPLE.get(person, person))

    def comments(self, number: int) -> list[dict[str, str]]:
        """Author and text of each comment."""
        comments = self._comments(number)
        return [
            {"author": each.user.login if each.user else "", "text": each.body or ""} for each in comments
        ]


class Mirror(Repository):
    """A copy that is fetched before every look."""

    def run(self, *arguments: str, **more: Any) -> bytes:
        if arguments[0] not in {"init", "fetch"}:
            self.fetch()
        return super().run(*arguments, **more)


class GiteaWorld(World):
    """The world of the tests of promotion, with Gitea as its forge and the real time."""

    def __init__(self, folder: Path, repository: GiteaRepository, environments: tuple[str, ...]) -> None:
        super().__init__(folder, environments)
        repository.make(self.git)
        self.on = repository
        self.git = Mirror.copy_of(
            repository.remote, folder / "mirror.git", repository.git_environment(PROMOTER)
        )
        self.anew()

    def anew(self) -> None:
        """A forge object without connections: a child process must not use its parent's."""
        self.forge = PeoplesGitea(self.on, PROMOTER)  # type: ignore[assignment]

    def tick(self) -> datetime:
        return datetime.now(UTC)

    def merge(self, number: int | None = None, environment: str = "local") -> Merged:
        """Merge; the approver approves first what is open, as the trunk's protection wants it."""
        for each in self.forge.pull_requests("promote/", "rollback/"):
            if each.state == "open" and each.number == (number or each.number):
                self.forge.acting_as(APPROVER).approve(each.number, each.head)
        return super().merge(number, environment)

    def edit_body(self, number: int, body: str) -> None:
        self.on.ask("PATCH", f"/repos/{self.on.name}/pulls/{number}", {"body": body})

    def _clone(self) -> Path:
        clone = self.folder / f"clone-{secrets.token_hex(4)}"
        environment = self.on.git_environment(OWNER)
        Git(self.folder).run("clone", "--quiet", self.on.remote, str(clone), env=environment)
        return clone

    def _commit_and_push(self, clone: Path, *command: str) -> str:
        person = ("-c", "user.name=Bo", "-c", "user.email=bo@shop.invalid")
        Git(clone).run(*person, *command)
        Git(clone).run("push", "--quiet", "origin", "HEAD:main", env=self.on.git_environment(OWNER))
        return Git(clone).text("rev-parse", "HEAD")


@contextmanager
def gitea_world(folder: Path, environments: tuple[str, ...] = ("local",)) -> Iterator[GiteaWorld]:
    """A world on the Gitea that the variables name."""
    tokens = {name: os.environ[f"GITEA_{name.upper()}_TOKEN"] for name in (OWNER, PROMOTER, APPROVER)}
    url, name = os.environ["GITEA_URL"].rstrip("/"), f"{OWNER}/test-{secrets.token_hex(6)}"
    repository = GiteaRepository(url, tokens, name)
    try:
        yield GiteaWorld(folder, repository, environments)
    finally:
        repository.ask("DELETE", f"/repos/{name}")
