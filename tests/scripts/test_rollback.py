"""A rollback restores the release before, by the tool and by a plain `git revert` alike, and stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.errors import Refused
from scripts.evidence import Evidence
from scripts.promotion import Opened
from scripts.proposal import open_proposals
from scripts.release_file import evidence_path_of
from scripts.repository import TRUNK
from scripts.rollback import open_rollback
from tests.scripts.test_promotion import remove_bundle, remove_snapshot
from tests.scripts.world import RELEASE, World

Damage = Callable[[World, str], None]


def roll_back(world: World, environment: str = "local") -> Opened:
    return open_rollback(world.bridge, environment, "ada", "too many returns")


def test_the_tool_and_a_plain_revert_restore_the_same_bytes(world: World) -> None:
    world.promote(1)
    before = world.file()
    second = world.promote(2, "def5678")
    revert = world.revert_as_person(second.commit)
    assert world.file() == before
    world.revert_as_person(revert)
    assert world.live() == second.release
    opened = roll_back(world)
    assert opened.action == "opened"
    assert world.merge().release == opened.release
    assert world.file() == before


def test_its_message_is_gits_own_and_its_diff_only_the_release(world: World) -> None:
    world.promote(1)
    second = world.promote(2)
    opened = roll_back(world)
    assert opened.pull_request is not None
    commit = world.git.commit(opened.pull_request.head)
    assert f"This reverts commit {second.commit}." in commit.message
    assert "too many returns" in commit.message
    assert commit.trailer("Requested-by") == "ada"
    assert set(world.git.changed_paths(TRUNK, commit.id)) == {"environments/local/release.yaml"}
    assert "too many returns" in opened.pull_request.body
    assert "stays held" in opened.pull_request.body


def test_what_was_rolled_back_is_held_and_a_newer_model_is_not(world: World) -> None:
    world.promote(1)
    world.promote(2)
    roll_back(world)
    world.merge()
    refs = world.refs()
    for _ in range(10):
        with pytest.raises(Refused) as caught:
            world.open("2")
        assert caught.value.reason == "held"
    assert world.refs() == refs
    world.train(3)
    assert world.open().action == "opened"


def test_a_second_rollback_goes_further_back(world: World) -> None:
    for version in (1, 2, 3):
        world.promote(version)
    for expected in (2, 1):
        roll_back(world)
        assert world.merge().release.model_version == expected
    with pytest.raises(Refused, match="no release before 1-abc1234"):
        roll_back(world)


def test_there_is_nothing_before_the_first_model(world: World) -> None:
    with pytest.raises(Refused, match="no release before 0-unreleased"):
        roll_back(world)
    world.promote(1)
    with pytest.raises(Refused, match="no release before 1-abc1234"):
        roll_back(world)


@pytest.mark.parametrize(
    ("damage", "reason"), [(remove_bundle, "bad_bundle"), (remove_snapshot, "no_snapshot")]
)
def test_an_earlier_model_that_is_gone_is_said_before_anything_is_opened(
    world: World, damage: Damage, reason: str
) -> None:
    first = world.promote(1)
    world.promote(2)
    damage(world, first.release.model_sha256)
    with pytest.raises(Refused) as caught:
        roll_back(world)
    assert caught.value.reason == reason
    assert open_proposals(world.forge, "local") == []


def test_it_supersedes_an_open_promotion_and_no_promotion_supersedes_it(world: World) -> None:
    world.promote(1)
    world.promote(2)
    world.train(3)
    world.open()
    opened = roll_back(world)
    assert opened.superseded == (3,)
    with pytest.raises(Refused, match="is a rollback; merge or close it first"):
        world.open()
    assert [each.number for each in open_proposals(world.forge, "local")] == [4]


def test_asked_again_it_finds_its_pull_request_and_one_a_person_closed_stays_closed(world: World) -> None:
    world.promote(1)
    world.promote(2)
    first = roll_back(world).pull_request
    assert roll_back(world).action == "found"
    assert first is not None
    world.forge.acting_as("bo").close(first.number, "it recovered")
    with pytest.raises(Refused, match="was closed by bo"):
        roll_back(world)


def test_comments_that_came_after_the_promotion_are_kept(world: World) -> None:
    world.promote(1)
    world.promote(2)
    path = "environments/local/release.yaml"
    world.commit_as_person("say more", {path: world.file().replace(b"line by line", b"by line")})
    roll_back(world)
    world.merge()
    assert b"by line." in world.file()
    assert world.live().model_version == 1


def test_the_evidence_of_what_was_rolled_back_stays_readable_from_its_commit(world: World) -> None:
    world.promote(1)
    second = world.promote(2)
    world.revert_as_person(second.commit)
    data = world.git.read(second.commit, evidence_path_of("local", second.release))
    assert Evidence.from_bytes(data or b"").sha256 == world.git.commit(second.commit).trailer(
        "Evidence-Sha256"
    )


def test_crlf_and_a_missing_last_newline_survive_promotion_and_rollback(tmp_path: Path) -> None:
    odd = RELEASE.replace(b"\n", b"\r\n").rstrip()
    world = World(tmp_path, release=odd)
    world.promote(1)
    first = world.file()
    world.promote(2)
    roll_back(world)
    world.merge()
    assert world.file() == first
    assert (first.count(b"\r\n"), first.count(b"\n")) == (odd.count(b"\r\n"), odd.count(b"\n"))
    assert not first.endswith(b"\n")
