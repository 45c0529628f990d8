"""Holds and rollback targets follow from the order of releases on the trunk."""

import time
from datetime import UTC, datetime

import pytest

from scripts.errors import Refused
from scripts.history.deployment_history import DeploymentHistory, live_file, read, replay
from scripts.history.git import Commit
from scripts.history.repository import TRUNK
from scripts.release_file import Release, path_of
from tests.scripts.world import RELEASE, World

UNRELEASED = "0-unreleased"


def release(name: str) -> Release:
    version, _, tag = name.partition("-")
    return Release(image_tag=tag, model_version=int(version), model_sha256=f"{int(version):064x}")


def history(*names: str) -> DeploymentHistory:
    """The history of releases in this order; a name with a space is an un-hold."""
    commits = []
    for index, name in enumerate(names):
        text, change = (f"x\n\nUn-hold: {name}", None) if " " in name else (name, release(name))
        commits.append((Commit(f"{index:040x}", datetime(2026, 1, 1, tzinfo=UTC), text), change))
    return replay("local", commits)


@pytest.mark.parametrize(
    ("names", "held", "free"),
    [
        (["11-a", "12-a"], [], ["11-a", "12-a", "13-a"]),
        # the tool's rollback and a person's revert look the same: the model went back
        (["11-a", "12-a", "11-a"], ["12-a", "12-b"], ["13-a", "11-b"]),
        # an image that came back holds the newer image, whatever the model
        (["11-a", "11-b", "11-a"], ["11-b", "12-b"], ["11-c", "12-a"]),
        # both went back: which was at fault is unknown, their pair is held
        (["11-a", "12-b", "11-a"], ["12-b"], ["12-a", "11-b", "12-c", "13-b"]),
        # a downgrade to a model that never ran here is a rollback too
        (["10-a", "12-a", "11-a"], ["12-a"], ["13-a"]),
        # the model went on while the image went back
        (["11-a", "11-b", "12-a"], ["12-b", "13-b"], ["12-c"]),
        # a revert of the revert is somebody's decision: no hold either way
        (["11-a", "12-a", "11-a", "12-a"], [], ["11-a", "12-a"]),
        (["11-a", "12-a", "11-a", "12-a", "11-a"], ["12-a"], ["13-a"]),
        # two steps back hold the newest only; what lies between was replaced by something newer
        (["11-a", "12-a", "13-a", "11-a"], ["13-a"], ["12-a", "14-a"]),
        # two single steps back hold both
        (["11-a", "12-a", "13-a", "12-a", "11-a"], ["13-a", "12-a"], ["14-a"]),
        # an un-hold needs the release's name and a reason
        (["11-a", "12-a", "11-a", "12-a fixed the store"], [], ["12-a"]),
        (["11-a", "12-a", "11-a", "local/12-a fixed"], [], ["12-a"]),
        (["11-a", "12-a", "11-a", "staging/12-a fixed"], ["12-a"], []),
        (["11-a", "12-a", "11-a", "12-a "], ["12-a"], []),
        (["11-a", "12-a", "11-a", "12-b fixed"], ["12-a"], []),
        # an un-hold before the rollback lifts nothing
        (["11-a", "12-a fixed", "12-a", "11-a"], ["12-a"], []),
    ],
)
def test_a_release_that_an_older_one_replaced_is_held(
    names: list[str], held: list[str], free: list[str]
) -> None:
    derived = history(UNRELEASED, *names)
    assert [name for name in held if derived.hold_on(release(name)) is None] == []
    assert [name for name in free if derived.hold_on(release(name)) is not None] == []


@pytest.mark.parametrize(
    ("names", "target", "undone"),
    [
        ([], None, []),
        (["11-a"], None, []),
        (["11-a", "12-a"], "11-a", [2]),
        (["11-a", "12-a", "13-a"], "12-a", [3]),
        (["11-a", "12-a", "13-a", "12-a"], "11-a", [2]),  # never forward to the held 13
        (["11-a", "12-a", "13-a", "12-a", "14-a"], "12-a", [5]),
        (["11-a", "12-a", "11-a"], None, []),
        (["11-a", "12-a", "11-a", "12-a"], "11-a", [4]),
        # 12-b is held (image b), so the way back leads past it
        (["11-a", "12-b", "12-a"], "11-a", [3, 2]),
    ],
)
def test_a_rollback_goes_to_the_release_before_that_is_not_held(
    names: list[str], target: str | None, undone: list[int]
) -> None:
    found = history(UNRELEASED, *names).to_revert()
    assert [int(each.commit.id, 16) for each in found] == undone
    assert (found[-1].before.name if found and found[-1].before else None) == target


def test_a_hold_says_what_and_which_commit() -> None:
    hold = history(UNRELEASED, "11-a", "12-a", "11-a").holds[0]
    assert str(hold) == f"model 12 was rolled back by commit {3:012x} (11-a)".replace(
        f"{3:012x}", f"{3:040x}"[:12]
    )
    assert hold.release.name == "12-a"


def test_history_is_read_from_git_with_reverts_and_un_holds_in_their_order(two_live: World) -> None:
    second = two_live.promoted[2]
    two_live.revert_as_person(second.commit)
    derived = read(two_live.git, "local", TRUNK)
    assert [each.after.name for each in derived.deployments] == [
        "0-unreleased",
        "1-abc1234",
        "2-abc1234",
        "1-abc1234",
    ]
    assert [each.is_rollback for each in derived.deployments] == [False, False, False, True]
    assert derived.hold_on(release("2-abc1234"))
    two_live.commit_as_person("let it try again\n\nUn-hold: 2-abc1234 the store was full")
    assert read(two_live.git, "local", TRUNK).holds == []


def test_a_broken_file_in_the_past_is_passed_over_and_at_the_tip_is_refused(world: World) -> None:
    good = world.file()
    world.commit_as_person("break it", {path_of("local"): RELEASE.replace(b'"0"', b"0")})
    with pytest.raises(Refused, match="line 11"):
        world.live()
    world.commit_as_person("mend it", {path_of("local"): good})
    assert [each.after.name for each in read(world.git, "local", TRUNK).deployments] == ["0-unreleased"]


def test_an_environment_without_a_release_file_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="is 'moon' an environment"):
        live_file(world.git, "moon", TRUNK)


def test_thousands_of_releases_take_a_moment() -> None:
    """Time that grows with the square of the releases would be half a minute here."""
    names = [f"{number}-i{number}" for number in range(1, 6_001)]
    began = time.process_time()
    undone = history(*names).to_revert()
    assert time.process_time() - began < 2
    assert [each.after.model_version for each in undone] == [6_000]
