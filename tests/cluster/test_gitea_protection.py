"""The calls in docs/forges.md, run as they stand there on a real Gitea, and what they hold."""

import base64
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from tests.cluster.bed import ROOT, Bed, run

pytestmark = pytest.mark.cluster

OWNER, PROMOTER, APPROVER = "owner", "promoter", "approver"
PAGE = (ROOT / "docs" / "forges.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.partition("## Gitea")[2], re.DOTALL)
RELEASE = "environments/production/release.yaml"
WORKFLOW = ".github/workflows/check.yaml"


class Place:
    """A repository of an own name on the bed's Gitea, and what each account does there."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.name = f"{OWNER}/protection-{secrets.token_hex(4)}"

    def make(self) -> None:
        wanted = {"name": self.name.partition("/")[2], "auto_init": True, "default_branch": "main"}
        self._ask(OWNER, "POST", "/user/repos", wanted).raise_for_status()

    def remove(self) -> None:
        self.ask(OWNER, "DELETE", "")

    def set_up(self) -> None:
        """Run the page's first block, which makes the rules."""
        self.shell(
            OWNER,
            BLOCKS[0],
            PROMOTER=PROMOTER,
            APPROVER=APPROVER,
            ARGOCD_URL="https://argocd.example.com",
            WEBHOOK_SECRET="a-secret-of-this-test",
        )

    def judge(self, account: str, number: int) -> str:
        """Run the page's second block, which checks a pull request and reports; what the check said comes back."""
        function = BLOCKS[0].partition("\n}\n")[0] + "\n}\n"
        head = self.pull(number)["head"]["sha"]
        return self.shell(account, function + BLOCKS[1], NUMBER=str(number), HEAD=head)

    def shell(self, account: str, script: str, **variables: str) -> str:
        known = {
            "GITEA_URL": self.bed.gitea_url,
            "GITEA_TOKEN": self.bed.tokens[account],
            "REPOSITORY": self.name,
        }
        return run("bash", "-euo", "pipefail", "-c", script, environment={**known, **variables})

    def ask(self, account: str, method: str, path: str, content: object = None) -> httpx.Response:
        return self._ask(account, method, f"/repos/{self.name}{path}", content)

    @staticmethod
    def wait_for(condition: Callable[[], bool]) -> None:
        """Until Gitea has worked on what it has answered; at most half a minute."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.2)

    def _ask(self, account: str, method: str, path: str, content: object = None) -> httpx.Response:
        headers = {"Authorization": f"token {self.bed.tokens[account]}"}
        with httpx.Client(timeout=30, trust_env=False) as client:
            return client.request(method, f"{self.bed.gitea_url}/api/v1{path}", headers=headers, json=content)

    def propose(self, account: str, path: str = RELEASE, branch: str | None = None) -> int:
        """A pull request that writes one file, on a branch of its own."""
        branch = branch or f"promote/production/{secrets.token_hex(4)}"
        self.write(account, path, branch, new_branch=True).raise_for_status()
        answer = self.ask(account, "POST", "/pulls", {"head": branch, "base": "main", "title": "model 2"})
        answer.raise_for_status()
        return int(answer.json()["number"])

    def write(self, account: str, path: str, branch: str, *, new_branch: bool = False) -> httpx.Response:
        content = {
            "content": base64.b64encode(secrets.token_bytes(8)).decode(),
            "message": "production: model 2",
            **({"branch": "main", "new_branch": branch} if new_branch else {"branch": branch}),
        }
        there = self.ask(account, "GET", f"/contents/{path}?ref={'main' if new_branch else branch}")
        if there.is_success:
            return self.ask(account, "PUT", f"/contents/{path}", {**content, "sha": there.json()["sha"]})
        return self.ask(account, "POST", f"/contents/{path}", content)

    def pull(self, number: int) -> Any:
        return self.ask(OWNER, "GET", f"/pulls/{number}").json()

    def approve(self, account: str, number: int) -> httpx.Response:
        review = {"event": "APPROVED", "commit_id": self.pull(number)["head"]["sha"]}
        return self.ask(account, "POST", f"/pulls/{number}/reviews", review)

    def report(self, account: str, number: int, state: str = "success") -> httpx.Response:
        status = {"context": "promotion", "state": state}
        return self.ask(account, "POST", f"/statuses/{self.pull(number)['head']['sha']}", status)

    def merge(self, account: str, number: int, **more: object) -> str:
        """`merged`, or what Gitea says instead, once it has worked out whether it can."""
        for _ in range(100):
            answer = self.ask(account, "POST", f"/pulls/{number}/merge", {"Do": "squash", **more})
            if answer.is_success:
                assert self.pull(number)["merged"]
                return "merged"
            if "Please try again later" not in answer.text:
                assert not self.pull(number)["merged"]
                return str(answer.json().get("message") or answer.text)
        raise AssertionError(answer.text)

    def push(self, account: str) -> subprocess.CompletedProcess[str]:
        """`git push` of a new commit to main."""
        password = base64.b64encode(f"{account}:{self.bed.tokens[account]}".encode()).decode()
        identity = {
            f"GIT_{role}_{part}": f"{account}@example.com"
            for role in ("AUTHOR", "COMMITTER")
            for part in ("NAME", "EMAIL")
        }
        script = """
            cd "$(mktemp -d)" && git clone -q "$URL" . && git commit -q --allow-empty -m x
            git push -q origin HEAD:main
        """
        return subprocess.run(
            ["bash", "-c", script],
            env={
                **os.environ,
                **identity,
                "URL": f"{self.bed.gitea_url}/{self.name}.git",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"http.{self.bed.gitea_url}/.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {password}",
                "GIT_TERMINAL_PROMPT": "0",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Set up as the page says."""
    place = Place(Bed.from_environment())
    place.make()
    try:
        place.set_up()
        yield place
    finally:
        place.remove()


@pytest.fixture
def unprotected() -> Iterator[Place]:
    place = Place(Bed.from_environment())
    place.make()
    try:
        for account in (PROMOTER, APPROVER):
            place.ask(OWNER, "PUT", f"/collaborators/{account}", {"permission": "write"}).raise_for_status()
        yield place
    finally:
        place.remove()


def test_without_the_rules_anybody_who_may_write_merges_and_pushes(unprotected: Place) -> None:
    """The control of all tests below."""
    assert unprotected.merge(PROMOTER, unprotected.propose(PROMOTER)) == "merged"
    assert unprotected.push(PROMOTER).returncode == 0


def test_a_promotion_is_merged_with_the_approval_and_the_check(place: Place) -> None:
    number = place.propose(PROMOTER)
    assert place.approve(APPROVER, number).is_success
    assert place.report(OWNER, number).is_success
    assert place.merge(PROMOTER, number) == "merged"
    assert place.ask(OWNER, "GET", f"/contents/{RELEASE}").is_success


def test_the_check_reports_what_it_found_and_says_it_in_one_comment(place: Place) -> None:
    number = place.propose(APPROVER, "README.md", f"change-{secrets.token_hex(4)}")
    for _ in range(2):
        assert '"kind": "change"' in place.judge(PROMOTER, number)
    (comment,) = place.ask(OWNER, "GET", f"/issues/{number}/comments").json()
    assert "No environment's rendered manifests change." in comment["body"]
    head = place.pull(number)["head"]["sha"]
    assert place.ask(OWNER, "GET", f"/commits/{head}/status").json()["state"] == "success"


def test_the_check_of_a_release_that_cannot_be_judged_is_red(place: Place) -> None:
    """There is no registry of models here."""
    number = place.propose(PROMOTER)
    assert '"error"' in place.judge(PROMOTER, number)
    place.approve(APPROVER, number)
    assert "status checks" in place.merge(PROMOTER, number)


def test_a_promotion_is_not_merged_without_the_approver(place: Place) -> None:
    number = place.propose(PROMOTER)
    place.report(OWNER, number)
    assert "approvals" in place.merge(PROMOTER, number)
    place.approve(OWNER, number)
    assert "approvals" in place.merge(PROMOTER, number), "the owner is on no list of approvers"


def test_a_promotion_is_not_merged_without_the_check(place: Place) -> None:
    number = place.propose(PROMOTER)
    place.approve(APPROVER, number)
    assert "status checks" in place.merge(PROMOTER, number)
    place.report(OWNER, number, "failure")
    assert "status checks" in place.merge(PROMOTER, number)


def test_the_promoter_cannot_approve(place: Place) -> None:
    own = place.propose(PROMOTER)
    assert place.approve(PROMOTER, own).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    anothers = place.propose(APPROVER)
    place.report(OWNER, anothers)
    assert place.approve(PROMOTER, anothers).is_success
    assert "approvals" in place.merge(PROMOTER, anothers)


def test_the_approver_cannot_approve_what_they_wrote(place: Place) -> None:
    own = place.propose(APPROVER)
    assert place.approve(APPROVER, own).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_new_push_takes_the_approval_away_soon(place: Place) -> None:
    branch = f"promote/production/{secrets.token_hex(4)}"
    number = place.propose(PROMOTER, branch=branch)
    place.approve(APPROVER, number)
    place.write(PROMOTER, RELEASE, branch).raise_for_status()
    place.wait_for(lambda: place.ask(OWNER, "GET", f"/pulls/{number}/reviews").json()[0]["dismissed"])
    place.report(OWNER, number)
    assert "approvals" in place.merge(PROMOTER, number)


@pytest.mark.parametrize("account", [APPROVER, OWNER])
def test_only_the_promoter_merges(place: Place, account: str) -> None:
    number = place.propose(PROMOTER)
    place.approve(APPROVER, number)
    place.report(OWNER, number)
    assert place.merge(account, number) != "merged"
    assert place.merge(account, number, force_merge=True) != "merged"
    assert place.merge(PROMOTER, number) == "merged"


@pytest.mark.parametrize("account", [PROMOTER, APPROVER, OWNER])
def test_nobody_pushes_to_main(place: Place, account: str) -> None:
    done = place.push(account)
    assert done.returncode != 0
    assert "protected branch main" in done.stderr
    assert place.write(account, "README.md", "main").status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("path", [WORKFLOW, ".gitea/workflows/check.yaml"])
def test_a_pull_request_cannot_change_what_judges_it(place: Place, path: str) -> None:
    number = place.propose(PROMOTER, path)
    place.approve(APPROVER, number)
    place.report(OWNER, number)
    assert "protected files" in place.merge(PROMOTER, number)


@pytest.mark.parametrize("account", [PROMOTER, APPROVER])
def test_only_the_owner_changes_the_rules(place: Place, account: str) -> None:
    for method, path in (
        ("PATCH", "/branch_protections/main"),
        ("DELETE", "/branch_protections/main"),
        ("GET", "/hooks"),
    ):
        assert place.ask(account, method, path, {}).status_code == HTTPStatus.FORBIDDEN


def test_the_webhook_tells_argo_cd_of_pushes_to_main_and_shows_no_secret(place: Place) -> None:
    answer = place.ask(OWNER, "GET", "/hooks")
    (hook,) = answer.json()
    assert (hook["events"], hook["branch_filter"], hook["active"]) == (["push"], "main", True)
    assert hook["config"]["url"] == "https://argocd.example.com/api/webhook"
    assert "a-secret-of-this-test" not in answer.text


def test_only_squash_is_left_as_a_way_to_merge(place: Place) -> None:
    settings = place.ask(OWNER, "GET", "").json()
    ways = {
        key
        for key in ("allow_merge_commits", "allow_rebase", "allow_rebase_explicit", "allow_squash_merge")
        if settings[key]
    }
    assert ways == {"allow_squash_merge"}
