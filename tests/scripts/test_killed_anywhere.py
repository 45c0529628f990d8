"""Killed after any side effect, or at any moment, and asked again: the same end, and nothing left to do.

The side effects are not listed by hand: a dry run records every git command after which the forge's refs differ.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import pytest

from scripts.forges.local import LocalForge
from scripts.history.git import Git
from scripts.promotion.proposal import open_proposals
from scripts.promotion.rollback import open_rollback
from tests.scripts.world import World

KILLED = 137


def refs_on_disk(forge: Path) -> list[tuple[str, bytes]]:
    """Every ref, read as files so that watching runs no git."""
    paths = [path for path in (forge / "refs").rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(
        (str(path.relative_to(forge)), path.read_bytes()) for path in [*paths, *forge.glob("packed-refs")]
    )


class Watched:
    """Counts side effects of git commands on a forge; ends this process after the one it is told."""

    def __init__(self, world: World, kill_after: int | None = None) -> None:
        self.forge, self.kill_after = world.forge.directory, kill_after
        self.effects: list[str] = []
        self._real = Git.run

    def __enter__(self) -> Self:
        watched = self

        def run(git: Git, *arguments: str, **more: Any) -> bytes:
            before = refs_on_disk(watched.forge)
            try:
                return watched._real(git, *arguments, **more)
            finally:
                if refs_on_disk(watched.forge) != before:
                    watched.effects.append(arguments[0])
                    if len(watched.effects) - 1 == watched.kill_after:
                        os._exit(KILLED)

        Git.run = run  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        Git.run = self._real  # type: ignore[method-assign]


def in_a_child(act: Callable[[], object]) -> int:
    """Process id of a copy of this process, in its own group, that does this and ends."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            act()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def end_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def nothing(world: World) -> None:
    world.train(1)


def one_open(world: World) -> None:
    world.train(1)
    world.open()
    world.train(2)


def two_live(world: World) -> None:
    world.promote(1)
    world.promote(2)


def back_and_a_promotion_open(world: World) -> None:
    two_live(world)
    world.train(3)
    world.open()


def open_one(world: World) -> None:
    world.open()


def merge_one(world: World) -> None:
    world.merge(1)


def roll_back(world: World) -> None:
    open_rollback(world.bridge, "local", "ada", "too many returns")


SCENARIOS: dict[str, tuple[Callable[[World], None], Callable[[World], None], int]] = {
    "open the first": (nothing, open_one, 2),
    "open a newer one": (one_open, open_one, 4),
    "merge": (one_open, merge_one, 3),
    "roll back": (two_live, roll_back, 2),
    "roll back over an open promotion": (back_and_a_promotion_open, roll_back, 4),
}


def end_state(world: World) -> object:
    """Everything but times and the commit ids that follow from them."""
    pulls = world.forge.pull_requests("")
    return (
        [(each.number, each.title, each.branch, each.state, each.closed_by) for each in pulls],
        [len(world.forge.comments(each.number)) for each in pulls],
        sorted(world.refs()),
        world.git.refs("refs/promotions/local")["refs/promotions/local"] in {each.head for each in pulls},
        world.file(),
    )


def ends_the_same_after_every_effect(
    start: World, folder: Path, act: Callable[[World], object], expected: int
) -> None:
    """Killed after each of the `expected` side effects and asked again; asked once more nothing is left to do."""
    world = start.copied(folder / "whole")
    with Watched(world) as watched:
        act(world)
    assert len(watched.effects) == expected
    whole = end_state(world)
    with Watched(world) as again:
        act(world)
    assert again.effects == []
    for point in range(len(watched.effects)):
        world = start.copied(folder / f"killed-{point}")
        with Watched(world, kill_after=point):
            child = in_a_child(lambda world=world: act(world))  # type: ignore[misc]
        assert end_of(child) == KILLED
        act(world)
        assert end_state(world) == whole, f"killed after effect {point}, {watched.effects[point]}"


def ends_the_same_after_any_moment(
    start: World, folder: Path, act: Callable[[World], object], moments: Iterable[float]
) -> None:
    """SIGKILL to the whole process group, after each of these shares of the time that it takes, and asked again."""
    world = start.copied(folder / "whole")
    began = time.monotonic()
    act(world)
    took, whole = time.monotonic() - began, end_state(world)
    for attempt, moment in enumerate(moments):
        world = start.copied(folder / f"{attempt}")
        child = in_a_child(lambda world=world: act(world))  # type: ignore[misc]
        time.sleep(moment * took)
        os.killpg(child, signal.SIGKILL)
        end_of(child)
        world.forge = LocalForge(world.forge.directory, "promoter", clock=world.tick)
        act(world)
        assert end_state(world) == whole
        assert len(open_proposals(world.forge, "local")) == 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_after_every_side_effect_the_next_run_ends_the_same(tmp_path: Path, name: str) -> None:
    prepare, act, expected = SCENARIOS[name]
    start = World(tmp_path / "start")
    prepare(start)
    ends_the_same_after_every_effect(start, tmp_path, act, expected)


def test_a_forge_whose_creation_was_killed_is_created_by_the_next(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "environments").mkdir(parents=True)
    (tree / "environments/x").write_text("x")
    commands = 12
    for point in range(commands):
        forge = tmp_path / f"forge-{point}.git"
        child = in_a_child(lambda forge=forge, point=point: killed_before_command(point, forge, tree))  # type: ignore[misc]
        finished = end_of(child) == 0
        assert finished or point < commands - 1
        assert LocalForge.create(forge, tree, "promoter").pull_requests("") == []
        assert Git(forge).read("refs/heads/main", "environments/x") == b"x"


def killed_before_command(point: int, forge: Path, tree: Path) -> None:
    real, seen = Git.run, iter(range(1000))

    def run(git: Git, *arguments: str, **more: Any) -> bytes:
        if next(seen) == point:
            os._exit(KILLED)
        return real(git, *arguments, **more)

    Git.run = run  # type: ignore[method-assign, assignment]
    LocalForge.create(forge, tree, "promoter")


def test_killed_with_all_its_children_at_any_moment_the_next_run_ends_the_same(tmp_path: Path) -> None:
    """SIGKILL to the whole process group: git dies in the middle of its own writes too."""
    start, random_moments = World(tmp_path / "start"), random.Random(5)  # noqa: S311
    one_open(start)
    moments = (random_moments.uniform(0.2, 1.0) for _ in range(5))
    ends_the_same_after_any_moment(start, tmp_path, open_one, moments)
