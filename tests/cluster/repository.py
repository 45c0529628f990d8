"""The repository of the environments on the forge, as its owner sets it up and as people work in it."""

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.bed import ROOT, Bed

OWNER, PROMOTER, APPROVER = "owner", "promoter", "approver"
NAME = "purchase-prediction-story"
TRUNK = "main"

_FOLDERS = ("environments", "argo", "policies")
_REPOSITORY, _REGISTRY = "https://git.example.com/shop/purchase-prediction.git", "registry.example.com"
_FORGE = {
    "--forge=github": "--forge=gitea",
    "signatures: true": "signatures: false",  # this bed builds its images itself
    "- name: PROMOTE_FORGE\n            value: github": "- name: PROMOTE_FORGE\n            value: gitea",
}
# Not every provisioner of volumes lets a user without rights write, and there is no database: what the collector keeps
# is no part of the story.
_INBOX = {
    "persistentVolumeClaim:\n            claimName: collector-inbox": "emptyDir: {}",
    "  - ../components/inbox-database\n": "",
    "  - path: collector.inbox.yaml\n": "",
    "  - volume-claim.yaml\n": "",
}


@dataclass(frozen=True)
class GiteaRepository:
    """`owner/purchase-prediction-story`; its branch `main` takes pull requests with an approval and nothing else."""

    bed: Bed
    folder: Path

    @property
    def url(self) -> str:
        """Where Git and Argo CD fetch."""
        return f"{self.bed.gitea_url}/{OWNER}/{NAME}.git"

    def make(self) -> None:
        """The repository with the environments of this checkout, and who may do what in it."""
        self.remove()
        self.api(OWNER, "POST", "/user/repos", {"name": NAME, "default_branch": TRUNK})
        for account in (PROMOTER, APPROVER):
            self._repo(OWNER, "PUT", f"/collaborators/{account}", {"permission": "write"})
        own = {_REPOSITORY: self.url, _REGISTRY: self.bed.registry, **_FORGE, **_INBOX}
        copy_environments(self.folder, own)
        self.git(OWNER, "init", "-q", "-b", TRUNK)
        self.git(OWNER, "add", ".")
        self.git(OWNER, "commit", "-q", "-m", "environments")
        self.git(OWNER, "push", "-q", self.url, TRUNK)
        self._protect()

    def remove(self) -> None:
        """Delete it, if it is there."""
        answer = self.ask(OWNER, "DELETE", f"/repos/{OWNER}/{NAME}")
        assert answer.status_code in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}, answer.text

    def add_webhook(self, url: str, secret: str) -> None:
        """Tell this address of every push."""
        config = {"url": url, "content_type": "json", "secret": secret}
        hook = {"type": "gitea", "active": True, "events": ["push"], "config": config}
        self._repo(OWNER, "POST", "/hooks", hook)

    def remove_webhooks(self) -> None:
        """Tell nobody any more."""
        for hook in self._repo(OWNER, "GET", "/hooks"):
            self._repo(OWNER, "DELETE", f"/hooks/{hook['id']}")

    def propose(self, account: str, message: str, change: Callable[[Path], None]) -> int:
        """The pull request of a person who changes files in their clone of the trunk."""
        self.git(account, "fetch", "-q", self.url, TRUNK)
        branch = f"change-{time.time_ns()}"
        self.git(account, "checkout", "-q", "-f", "-B", branch, "FETCH_HEAD")
        change(self.folder)
        self.git(account, "add", "-A")
        self.git(account, "commit", "-q", "--allow-empty", "-m", message)
        return self._pull_request(account, branch)

    def propose_revert(self, account: str, commit: str) -> int:
        """The pull request of a person's plain `git revert`."""
        self.git(account, "fetch", "-q", self.url, TRUNK)
        branch = f"revert-{time.time_ns()}"
        self.git(account, "checkout", "-q", "-f", "-B", branch, "FETCH_HEAD")
        self.git(account, "revert", "--no-edit", commit)
        return self._pull_request(account, branch)

    def approve(self, account: str, number: int) -> None:
        """Approve the present head as this account."""
        head = self._repo(account, "GET", f"/pulls/{number}")["head"]["sha"]
        self._repo(account, "POST", f"/pulls/{number}/reviews", {"event": "APPROVED", "commit_id": head})

    def merge(self, account: str, number: int) -> str:
        """The commit on the trunk, with the text of the pull request as its message.

        Gitea first works out whether it can merge, and says 405 until then.
        """
        said = self._repo(account, "GET", f"/pulls/{number}")["body"]
        asked = {"Do": "squash", "MergeMessageField": said}
        for _ in range(50):
            answer = self.ask(account, "POST", f"/repos/{OWNER}/{NAME}/pulls/{number}/merge", asked)
            if answer.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
                break
            time.sleep(0.1)
        assert answer.is_success, answer.text
        return str(self._repo(account, "GET", f"/pulls/{number}")["merge_commit_sha"])

    def merged(self, message: str, change: Callable[[Path], None]) -> str:
        """The commit of a change that was proposed, approved and merged."""
        number = self.propose(PROMOTER, message, change)
        self.approve(APPROVER, number)
        return self.merge(PROMOTER, number)

    def git(self, account: str, *arguments: str) -> str:
        """Git in the clone as this account; the password is in no argument and no URL."""
        done = self.try_git(account, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def try_git(self, account: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same for a command that may be refused."""
        password = base64.b64encode(f"{account}:{self.bed.tokens[account]}".encode()).decode()
        variables = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.bed.gitea_url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {password}",
            "GIT_AUTHOR_NAME": account,
            "GIT_AUTHOR_EMAIL": f"{account}@example.com",
            "GIT_COMMITTER_NAME": account,
            "GIT_COMMITTER_EMAIL": f"{account}@example.com",
            "GIT_TERMINAL_PROMPT": "0",
        }
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def api(self, account: str, method: str, path: str, content: object = None) -> Any:
        """What the forge answers to a request that must succeed."""
        answer = self.ask(account, method, path, content)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def ask(self, account: str, method: str, path: str, content: object = None) -> httpx.Response:
        """The same for a request that may be refused."""
        return httpx.request(
            method,
            f"{self.bed.gitea_url}/api/v1{path}",
            json=content,
            headers={"Authorization": f"token {self.bed.tokens[account]}"},
            timeout=30,
            trust_env=False,
        )

    def _repo(self, account: str, method: str, path: str, content: object = None) -> Any:
        return self.api(account, method, f"/repos/{OWNER}/{NAME}{path}", content)

    def _pull_request(self, account: str, branch: str) -> int:
        """Of a branch with one commit; its text is the commit's, as the forge's own page suggests."""
        self.git(account, "push", "-q", self.url, branch)
        title, text = (self.git(account, "log", "-1", f"--format={part}") for part in ("%s", "%b"))
        asked = {"head": branch, "base": TRUNK, "title": title, "body": text}
        return int(self._repo(account, "POST", "/pulls", asked)["number"])

    def _protect(self) -> None:
        """One approval by the approver, of the present head; nobody pushes past that, the owner neither."""
        rule = {
            "rule_name": TRUNK,
            "enable_push": False,
            "required_approvals": 1,
            "enable_approvals_whitelist": True,
            "approvals_whitelist_username": [APPROVER],
            "dismiss_stale_approvals": True,
            "block_on_rejected_reviews": True,
            "block_admin_merge_override": True,
        }
        self._repo(OWNER, "POST", "/branch_protections", rule)


def copy_environments(folder: Path, own: dict[str, str]) -> None:
    """The files of this checkout that Argo CD reads, with the examples in them replaced by what this bed has."""
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True)
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and ".git" not in path.relative_to(folder).parts:
            content = path.read_text()
            for example, value in own.items():
                found |= {example} if example in content else set()
                content = content.replace(example, value)
            path.write_text(content)
    assert found == set(own), f"not in the environments: {set(own) - found}"
