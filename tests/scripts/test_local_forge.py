"""Pull requests of a bare repository: real refs, real merges, safe beside other writers."""

import os
import threading
import time
from pathlib import Path

import pytest

from scripts.errors import Broken, Refused
from scripts.forges.forge import BranchGone, MergeRefused
from scripts.forges.local import LocalForge
from scripts.history.git import Git, Identity
from scripts.history.repository import TRUNK, RefUpdate, temporary_copy
from tests.scripts.world import World


def push_branch(world: World, branch: str, files: dict[str, bytes], *, base: str = TRUNK) -> str:
    with temporary_copy(world.forge.remote) as copy:
        head = copy.propose(base, files, f"{branch}\n\nwhy", Identity("ada", "ada@x.invalid"), world.tick())
        assert copy.push([RefUpdate(f"refs/heads/{branch}", copy.ref(f"refs/heads/{branch}"), head)])
    return head


def test_the_first_commit_holds_the_folder_and_creating_again_changes_nothing(world: World) -> None:
    names = ("kustomization", "promotion", "release")
    files = "\n".join(f"environments/local/{name}.yaml" for name in names)
    assert world.git.text("ls-tree", "-r", "--name-only", TRUNK) == files
    before = world.refs()
    LocalForge.create(world.folder / "forge.git", world.folder / "tree", "promoter")
    assert world.refs() == before


def test_a_folder_that_is_no_forge_and_a_tree_without_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not a bare Git repository"):
        LocalForge(tmp_path, "promoter")
    with pytest.raises(Refused, match="holds no files"):
        LocalForge.create(tmp_path / "forge.git", tmp_path, "promoter")


def test_the_users_git_configuration_and_hooks_do_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = world.folder / "hooks"
    hooks.mkdir()
    for name in ("pre-receive", "reference-transaction", "pre-push", "post-receive"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    configuration = world.folder / "gitconfig"
    configuration.write_text(f"[core]\n\thooksPath = {hooks}\n[commit]\n\tgpgSign = true\n")
    monkeypatch.setenv("HOME", str(world.folder))
    (world.folder / ".gitconfig").write_text(configuration.read_text())
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(configuration),
        "GIT_DIR": "/nowhere",
        "GIT_AUTHOR_NAME": "x",
    }.items():
        monkeypatch.setenv(name, value)
    assert push_branch(world, "a", {"a": b"1"})


def test_a_merge_is_one_commit_on_the_trunk_with_the_branches_change(world: World) -> None:
    trunk = world.git.text("rev-parse", TRUNK)
    head = push_branch(world, "a", {"a": b"1"})
    opened = world.forge.open_pull_request("a", "title", "body")
    assert (opened.number, opened.state, opened.head, opened.author) == (1, "open", head, "promoter")
    push_branch(world, "elsewhere", {"b": b"2"})
    world.forge.merge(
        world.forge.open_pull_request("elsewhere", "t", "b").number,
        world.git.ref("refs/heads/elsewhere") or "",
        "b",
    )
    commit = world.forge.merge(1, head, "title (#1)\n\nwhy\n")
    merged = world.forge.get(1)
    assert (merged.state, merged.merge_commit) == ("merged", commit)
    assert world.git.text("rev-list", "--count", "--first-parent", f"{trunk}..{TRUNK}") == "2"
    assert (world.git.read(TRUNK, "a"), world.git.read(TRUNK, "b")) == (b"1", b"2")
    assert world.git.commit(TRUNK).message == "title (#1)\n\nwhy"
    assert world.git.ref("refs/heads/a") is None
    assert world.git.ref("refs/pull/1/head") == head


def test_merging_again_gives_the_same_commit(world: World) -> None:
    head = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    commit = world.forge.merge(1, head, "m")
    before = world.refs()
    assert world.forge.merge(1, head, "m") == commit
    assert world.refs() == before


def test_a_merge_is_pinned_to_the_reviewed_head(world: World) -> None:
    reviewed = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    push_branch(world, "a", {"a": b"2"}, base="refs/heads/a")
    with pytest.raises(MergeRefused, match="the reviewed one was"):
        world.forge.merge(1, reviewed, "m")
    assert world.git.read(TRUNK, "a") is None


def test_a_file_that_the_trunk_changed_too_is_not_merged(world: World) -> None:
    head = push_branch(world, "a", {"environments/local/release.yaml": b"mine"})
    world.forge.open_pull_request("a", "t", "b")
    world.commit_as_person("theirs", {"environments/local/release.yaml": b"theirs"})
    with pytest.raises(MergeRefused, match=r"the trunk changed environments/local/release\.yaml"):
        world.forge.merge(1, head, "m")
    assert world.file() == b"theirs"


def test_a_branch_that_changes_nothing_is_not_merged(world: World) -> None:
    head = push_branch(world, "a", {})
    world.forge.open_pull_request("a", "t", "b")
    with pytest.raises(MergeRefused, match="changes nothing"):
        world.forge.merge(1, head, "m")


def test_a_closed_one_is_not_merged_and_closing_again_says_nothing(world: World) -> None:
    head = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    world.forge.acting_as("bo").close(1, "no")
    world.forge.close(1, "no again")
    closed = world.forge.get(1)
    assert (closed.state, closed.closed_by) == ("closed", "bo")
    assert [comment["text"] for comment in world.forge.comments(1)] == ["no"]
    with pytest.raises(MergeRefused, match="was closed by bo"):
        world.forge.merge(1, head, "m")


def test_a_merged_one_cannot_be_closed(world: World) -> None:
    head = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    world.forge.merge(1, head, "m")
    world.forge.close(1, "no")
    assert world.forge.get(1).state == "merged"


def test_an_approval_is_by_another_account_and_of_one_head(world: World) -> None:
    head = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    with pytest.raises(Refused, match="is the author"):
        world.forge.approve(1, head)
    bo = world.forge.acting_as("bo")
    with pytest.raises(Refused, match="not open at 000000000000"):
        bo.approve(1, "0" * 40)
    bo.approve(1, head)
    assert world.forge.get(1).approved_by == ("bo",)
    push_branch(world, "a", {"a": b"2"}, base="refs/heads/a")
    assert world.forge.get(1).approved_by == ()


def test_one_branch_has_one_open_pull_request_and_needs_to_exist(world: World) -> None:
    push_branch(world, "a", {"a": b"1"})
    first = world.forge.open_pull_request("a", "t", "b")
    assert world.forge.open_pull_request("a", "other", "b") == first
    world.forge.close(1, "no")
    assert world.forge.open_pull_request("a", "t", "b").number == 2
    with pytest.raises(BranchGone):
        world.forge.open_pull_request("gone", "t", "b")
    with pytest.raises(Refused, match="no pull request #3"):
        world.forge.get(3)


def test_pull_requests_are_found_by_the_start_of_their_branch(world: World) -> None:
    for branch in ("x/a", "x/b", "y/a"):
        push_branch(world, branch, {branch: b"1"})
        world.forge.open_pull_request(branch, branch, "b")
    assert [each.number for each in world.forge.pull_requests("x/")] == [1, 2]


def test_eight_writers_at_once_number_their_pull_requests_without_a_gap(world: World) -> None:
    for index in range(8):
        push_branch(world, f"b{index}", {f"f{index}": b"1"})
    errors: list[BaseException] = []

    def open_and_merge(index: int) -> None:
        try:
            forge = LocalForge(world.forge.directory, "promoter")
            opened = forge.open_pull_request(f"b{index}", "t", "b")
            forge.merge(opened.number, opened.head, f"m{index}")
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=open_and_merge, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [each.number for each in world.forge.pull_requests("")] == list(range(1, 9))
    assert {each.state for each in world.forge.pull_requests("")} == {"merged"}
    assert [world.git.read(TRUNK, f"f{index}") for index in range(8)] == [b"1"] * 8


def test_a_merge_survives_a_push_by_somebody_else_in_between(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    real = Git.run
    pushed: list[bool] = []

    def run(self: Git, *arguments: str, **more: object) -> bytes:
        if arguments[0] == "update-ref" and b"refs/heads/main" in more["stdin"] and not pushed:  # type: ignore[operator]
            pushed.append(True)
            world.commit_as_person("meanwhile", {"other": b"3"})
        return real(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Git, "run", run)
    world.forge.merge(1, head, "m")
    assert (world.git.read(TRUNK, "a"), world.git.read(TRUNK, "other")) == (b"1", b"3")


def test_a_trunk_that_cannot_be_moved_is_said_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = push_branch(world, "a", {"a": b"1"})
    world.forge.open_pull_request("a", "t", "b")
    monkeypatch.setattr(LocalForge, "_try_swap", lambda *_: False)
    with pytest.raises(Broken, match="cannot be moved"):
        world.forge.merge(1, head, "m")


def test_a_lock_that_a_killed_git_left_is_removed_and_a_fresh_one_is_waited_for(world: World) -> None:
    lock = world.forge.directory / "refs/heads/main.lock"
    lock.touch()
    old = time.time() - 60
    os.utime(lock, (old, old))
    LocalForge(world.forge.directory, "promoter")
    assert not lock.exists()
    lock.touch()
    threading.Timer(0.2, lock.unlink).start()
    began = time.monotonic()
    LocalForge(world.forge.directory, "promoter")
    assert time.monotonic() - began > 0.1
    assert not lock.exists()


def test_a_comment_with_a_marker_is_replaced_in_place(world: World) -> None:
    world.train(1)
    world.open()
    world.forge.acting_as("bo").comment(1, "diff", "of somebody else")
    for text in ("one", "two"):
        world.forge.comment(1, "diff", text)
    refs = world.refs()
    world.forge.comment(1, "diff", "two")
    assert world.refs() == refs
    world.forge.comment(1, "other", "three")
    assert [each["text"].partition("\n")[2] for each in world.forge.comments(1)] == [
        "of somebody else",
        "two",
        "three",
    ]
