"""Which forge an address names, and that its token is nowhere but in a header and in git's environment."""

import base64
import logging
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Broken, Refused
from scripts.forges import git_credentials
from scripts.forges.by_address import Kind, forge_at
from scripts.forges.gitea import GiteaForge
from scripts.forges.github import GitHubForge
from scripts.forges.local import LocalForge
from scripts.forges.transport import Patience
from scripts.history.git import Git, GitFailed
from scripts.history.repository import RemoteRefused, Repository, temporary_copy
from tests.scripts.fake_forge import Answer, Fault
from tests.scripts.served_forge import SHAPES, Served, served
from tests.scripts.world import World

TOKEN = "token-of-promoter"
BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.kind)
def up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as found:
        yield found


def test_a_path_is_a_local_forge(world: World) -> None:
    forge = forge_at(str(world.folder / "forge.git"), account="ada")
    assert isinstance(forge, LocalForge)
    assert (forge.account, dict(forge.git_environment)) == ("ada", {})
    with pytest.raises(Refused, match="a gitea forge has an address"):
        forge_at(str(world.folder / "forge.git"), kind="gitea", account="ada", token=TOKEN)


@pytest.mark.parametrize(
    ("address", "kind", "interface", "remote"),
    [
        ("https://github.com/shop/env", None, "https://api.github.com/", "https://github.com/shop/env.git"),
        (
            "https://github.com/shop/env.git",
            "github",
            "https://api.github.com/",
            "https://github.com/shop/env.git",
        ),
        (
            "https://git.shop.example/a/b/",
            "github",
            "https://git.shop.example/api/v3/",
            "https://git.shop.example/a/b.git",
        ),
        (
            "http://node:3300/owner/e.n-v",
            "gitea",
            "http://node:3300/api/v1/",
            "http://node:3300/owner/e.n-v.git",
        ),
        (
            "https://shop.example/git/a/b",
            "gitea",
            "https://shop.example/git/api/v1/",
            "https://shop.example/git/a/b.git",
        ),
    ],
)
def test_an_address_names_its_interface_and_its_remote(
    address: str, kind: Kind | None, interface: str, remote: str
) -> None:
    forge = forge_at(address, kind=kind, account="x", token=TOKEN)
    assert isinstance(forge, GiteaForge if kind == "gitea" else GitHubForge)
    assert str(forge.http._client.base_url).rstrip("/") + "/" == interface
    assert forge.remote == remote


@pytest.mark.parametrize(
    ("address", "kind", "token", "reason"),
    [
        ("https://git.shop.example/a/b", None, TOKEN, "bad_repository"),
        ("https://git.shop.example/a/b", "local", TOKEN, "bad_repository"),
        ("https://github.com/shop", None, TOKEN, "bad_repository"),
        ("https://github.com/shop/env?x=1", None, TOKEN, "bad_repository"),
        ("http://github.com/shop/env", None, TOKEN, "bad_repository"),
        ("ssh://github.com/shop/env", None, TOKEN, "bad_repository"),
        (f"https://x:{TOKEN}@github.com/shop/env", None, TOKEN, "bad_repository"),
        (f"https://{TOKEN}@git.shop.example/a/b", "gitea", TOKEN, "bad_repository"),
        ("https://github.com/shop/env", None, None, "no_token"),
        ("https://github.com/shop/env", None, "", "no_token"),
        ("https://github.com/shop/env", None, f"{TOKEN}\n", "bad_token"),
        ("https://github.com/shop/env", None, f"{TOKEN} ü", "bad_token"),
    ],
)
def test_what_cannot_be_an_address_or_a_token_is_refused_without_showing_the_token(
    address: str, kind: Kind | None, token: str | None, reason: str
) -> None:
    with pytest.raises(Refused) as caught:
        forge_at(address, kind=kind, account="x", token=token)
    assert caught.value.reason == reason
    assert TOKEN not in str(caught.value)


def test_the_account_is_read_from_the_forge_and_not_believed(up: Served) -> None:
    assert up.forge("approver").account == "approver"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
@pytest.mark.parametrize("how", ["refuse", "cut"])
def test_the_token_is_in_no_error_and_no_log(
    up: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, status: int, how: str
) -> None:
    """Even when the forge repeats it."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(
        logging.getLogger("httpx"), "disabled", False
    )  # as a library's logging setup leaves it
    said = Answer(status, {"message": f"token {TOKEN} is bad", "errors": [{"message": TOKEN}]})
    up.fake.faults.append(Fault("GET", "/pulls/1", how, said, times=99))
    with pytest.raises((Refused, Broken)) as caught:
        up.forge().get(1)
    links: list[BaseException] = [caught.value]
    while (link := links[-1].__cause__ or links[-1].__context__) is not None:
        links.append(link)
    assert [text for text in (f"{link!r} {link}" for link in links) if TOKEN in text] == []
    assert TOKEN not in caplog.text
    assert "HTTP Request" in caplog.text or how == "cut"
    assert TOKEN not in repr(vars(up.forge().http.patience)) + repr(up.forge()) + up.forge().remote


def test_a_forge_that_repeats_the_token_would_have_it_shown(up: Served) -> None:
    """The control of the test above: only cutting it out keeps it from the error."""
    up.fake.faults.append(Fault("GET", "/pulls/1", "refuse", Answer(400, {"message": TOKEN})))
    forge = up.forge()
    forge.http._secret = "another"
    with pytest.raises(Refused, match=TOKEN):
        forge.get(1)


def test_git_gets_the_token_by_its_environment_alone(
    up: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    real = subprocess.run

    def run(command: list[str], **more: Any) -> Any:
        seen.append((" ".join(command), more["env"]))
        return real(command, **more)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RemoteRefused), temporary_copy(up.forge()):
        pass
    commands = [command for command, _ in seen]
    assert not any(TOKEN in command or BASIC in command for command in commands)
    fetching = next(env for command, env in seen if "fetch" in command)
    assert f"Authorization: Basic {BASIC}" in fetching.values()
    assert not any(
        BASIC in path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )


def test_a_repository_that_git_may_not_enter_is_a_refusal_without_the_token(up: Served) -> None:
    """The fake knows no git: it answers 401, and no password is asked for."""
    with pytest.raises(RemoteRefused, match="refuses") as caught, temporary_copy(up.forge()):
        pass
    assert TOKEN not in str(caught.value)
    assert BASIC not in str(caught.value)


def test_a_remote_that_is_down_is_asked_again_and_then_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with served(SHAPES[0], tmp_path / "bare") as up:
        forge = up.forge()
    repository = Repository.copy_of(forge.remote, tmp_path / "copy", forge.git_environment)
    fetches: list[str] = []
    real = Git.run

    def run(git: Git, *arguments: str, **more: Any) -> bytes:
        fetches.append(arguments[0])
        return real(git, *arguments, **more)

    monkeypatch.setattr(Git, "run", run)
    with pytest.raises(GitFailed, match="fetch failed"):
        repository.fetch()
    assert fetches == ["fetch"] * 4


def test_git_does_not_wait_for_ever_for_a_silent_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_credentials, "_STALLED_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        remote = f"http://127.0.0.1:{server.getsockname()[1]}/a/b.git"
        began = time.monotonic()
        with pytest.raises(GitFailed, match="Operation too slow"):
            Git(tmp_path).run("ls-remote", remote, env=git_credentials.environment_for(remote, TOKEN))
        assert time.monotonic() - began < 20


def test_what_is_bounded_by_default() -> None:
    patience = Patience()
    assert (patience.tries, patience.timeout_seconds) == (5, 20.0)
    assert sum(patience.first_wait_seconds * 2**n for n in range(patience.tries - 1)) < 10
