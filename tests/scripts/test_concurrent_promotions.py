"""Many processes promote at once: nothing is lost, and an environment never has two open promotions."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from scripts.errors import Refused
from scripts.history.repository import SLOTS, TRUNK
from scripts.promotion.proposal import open_proposals
from tests.scripts.test_killed_anywhere import end_of, in_a_child
from tests.scripts.world import World

ENVIRONMENTS = ("local", "qa", "staging", "training")


def eight_at_once(world: World, count_open: Callable[[], int], in_the_child: Callable[[], None]) -> None:
    """Eight processes propose a version each; never are two open, and in the end the newest is."""
    for version in range(1, 9):
        world.train(version)
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.is_set():
            most = max(most, count_open())

    def ask(version: int) -> None:
        in_the_child()
        try:
            world.open(str(version))
        except Refused as refusal:
            if refusal.reason not in {"superseded", "newer_is_open"}:
                raise

    children = [in_a_child(lambda version=version: ask(version)) for version in range(1, 9)]  # type: ignore[misc]
    watcher = threading.Thread(target=watch)
    watcher.start()
    codes = [end_of(child) for child in children]
    done.set()
    watcher.join()
    assert codes == [0] * 8
    assert most == 1
    (left,) = open_proposals(world.forge, "local")
    assert left.title == "local: model 8, image abc1234"
    assert world.git.ref(f"{SLOTS}local") == left.head
    assert list(world.git.refs("refs/heads/promote/").values()) == [left.head]


def test_eight_at_once_for_one_environment_leave_the_newest_open_and_never_two(tmp_path: Path) -> None:
    world = World(tmp_path)
    eight_at_once(world, lambda: len(open_proposals(world.forge, "local")), lambda: None)
    assert world.merge().release.model_version == 8


def test_the_same_wish_from_eight_at_once_is_one_pull_request_in_each_environment(tmp_path: Path) -> None:
    world = World(tmp_path, ENVIRONMENTS)
    world.train(1)

    def ask(environment: str) -> None:
        while True:
            try:
                world.open("1", environment=environment)
            except Refused as refusal:
                if refusal.reason != "superseded":
                    raise
            else:
                return

    children = [in_a_child(lambda name=name: ask(name)) for name in ENVIRONMENTS * 2]  # type: ignore[misc]
    assert [end_of(child) for child in children] == [0] * 8
    assert {name: len(open_proposals(world.forge, name)) for name in ENVIRONMENTS} == dict.fromkeys(
        ENVIRONMENTS, 1
    )
    merging = [in_a_child(lambda name=name: world.merge(None, name)) for name in ENVIRONMENTS]  # type: ignore[misc]
    assert [end_of(child) for child in merging] == [0] * 4
    assert {name: world.live(name).model_version for name in ENVIRONMENTS} == dict.fromkeys(ENVIRONMENTS, 1)
    assert world.git.text("rev-list", "--count", TRUNK) == "5"
    assert os.getpid()
