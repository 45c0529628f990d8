"""Pushes compare and swap; whatever the network does to the answer, the end is known."""

from typing import Any

import pytest

from scripts.errors import Broken
from scripts.history.git import Commit, Git, GitFailed, Identity
from scripts.history.repository import TRUNK, RefUpdate, RemoteRefused, Repository, temporary_copy
from tests.scripts.world import World

ADA = Identity("ada", "ada@x.invalid")


def commit_in(copy: Repository, world: World, text: bytes = b"1") -> str:
    return copy.propose(TRUNK, {"a": text}, "message", ADA, world.tick())


def test_a_push_moves_all_refs_or_none(world: World) -> None:
    with temporary_copy(world.forge.remote) as copy:
        head = commit_in(copy, world)
        assert copy.push(
            [RefUpdate("refs/heads/a", None, head), RefUpdate("refs/promotions/local", None, head)]
        )
        before = world.refs()
        moved = RefUpdate("refs/promotions/local", "0" * 39 + "1", commit_in(copy, world, b"3"))
        assert not copy.push([RefUpdate("refs/heads/b", None, head), moved])
        assert not copy.push([RefUpdate("refs/heads/a", None, commit_in(copy, world, b"2"))])
        assert world.refs() == before
        assert copy.push([RefUpdate("refs/heads/a", head, None)])
    assert world.git.ref("refs/heads/a") is None


def test_a_copy_follows_the_remote_and_forgets_what_is_gone(world: World) -> None:
    with temporary_copy(world.forge.remote) as copy, temporary_copy(world.forge.remote) as other:
        head = commit_in(other, world)
        other.push([RefUpdate("refs/heads/a", None, head), RefUpdate("refs/promotions/local", None, head)])
        copy.fetch()
        assert (copy.ref("refs/heads/a"), copy.ref("refs/promotions/local")) == (head, head)
        other.push([RefUpdate("refs/heads/a", head, None), RefUpdate("refs/promotions/local", head, None)])
        copy.fetch()
        assert (copy.ref("refs/heads/a"), copy.ref("refs/promotions/local")) == (None, None)


def failing(monkeypatch: pytest.MonkeyPatch, times: int, *, after: bool) -> list[str]:
    """Let pushes fail, before or after they took effect; the list grows with each try."""
    real = Git.run
    tries: list[str] = []

    def run(self: Git, *arguments: str, **more: Any) -> bytes:
        if arguments[0] != "push" or len(tries) >= times:
            return real(self, *arguments, **more)
        tries.append("push")
        if after:
            real(self, *arguments, **more)
        raise GitFailed(arguments, "connection reset")

    monkeypatch.setattr(Git, "run", run)
    monkeypatch.setattr("scripts.history.repository.time.sleep", lambda _: None)
    return tries


def test_a_push_whose_answer_was_lost_counts_as_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_copy(world.forge.remote) as copy:
        head = commit_in(copy, world)
        tries = failing(monkeypatch, 1, after=True)
        assert copy.push([RefUpdate("refs/heads/a", None, head)])
    assert len(tries) == 1
    assert world.git.ref("refs/heads/a") == head


def test_a_push_is_tried_ten_times_and_then_the_reason_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_copy(world.forge.remote) as copy:
        head = commit_in(copy, world)
        tries = failing(monkeypatch, 3, after=False)
        assert copy.push([RefUpdate("refs/heads/a", None, head)])
        assert len(tries) == 3
        tries = failing(monkeypatch, 99, after=False)
        with pytest.raises(Broken, match="connection reset"):
            copy.push([RefUpdate("refs/heads/b", None, head)])
        assert len(tries) == 10


def test_a_missing_git_is_said_in_one_sentence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Broken, match="git rev-parse failed"):
        world.git.text("rev-parse", "HEAD")


def test_the_same_commit_has_the_same_id_wherever_it_is_made(world: World) -> None:
    at = world.tick()
    with temporary_copy(world.forge.remote) as one, temporary_copy(world.forge.remote) as other:
        ids = {each.propose(TRUNK, {"a": b"1"}, "m", ADA, at) for each in (one, other)}
    assert len(ids) == 1


def test_trailers_are_the_last_paragraph_and_one_that_is_there_twice_has_no_value(world: World) -> None:
    text = "subject\n\nRequested-by: not this\n\nRequested-by: ada\nApproved-by: bo\napproved-by:  cy"
    commit = Commit("0" * 40, world.now, text)
    assert commit.trailer("Requested-by") == "ada"
    assert commit.trailers("Approved-by") == ("bo", "cy")
    assert commit.trailer("Approved-by") is None
    assert commit.trailer("Model-Version") is None


def test_files_are_read_by_commit_and_path_also_when_they_hold_anything(world: World) -> None:
    odd = b"\x00\n blob 3\nmissing\r\n"
    commit = world.commit_as_person("odd", {"a b/ü.bin": odd, "empty": b""})
    names = [f"{commit}:{path}" for path in ("a b/ü.bin", "gone", "empty", "a b")]
    assert world.git.blobs(names) == [odd, None, b"", None]


def test_a_remote_that_says_no_is_not_asked_again(world: World) -> None:
    hook = world.folder / "hooks" / "pre-receive"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho not on a sunday >&2\necho >>$0.runs\nexit 1\n")
    hook.chmod(0o755)
    world.git.run("config", "core.hooksPath", str(hook.parent))
    with temporary_copy(world.forge) as copy:
        head = copy.propose(TRUNK, {"x": b"x"}, "x", ADA, world.tick())
        with pytest.raises(RemoteRefused, match="not on a sunday"):
            copy.push([RefUpdate("refs/heads/x", None, head)])
    assert hook.with_name("pre-receive.runs").read_text() == "\n"


def test_nothing_to_push_is_done_already(world: World) -> None:
    with temporary_copy(world.forge) as copy:
        assert copy.push([])
