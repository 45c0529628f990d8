"""A rollback restores the release before, by the tool and by a plain `git revert` alike, and stays."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.errors import Broken, Refused
from scripts.evidence.record import Evidence
from scripts.history.repository import TRUNK
from scripts.promotion.opening import Opened
from scripts.promotion.proposal import open_proposals
from scripts.promotion.rollback import open_rollback
from scripts.release_file import edit, evidence_path_of, path_of
from tests.scripts.test_promotion import propose_what_is_held, remove_bundle, remove_snapshot
from tests.scripts.world import IMAGES, RELEASE, World

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


def test_its_message_is_gits_own_and_its_diff_only_the_release(two_live: World) -> None:
    second = two_live.promoted[2]
    opened = roll_back(two_live)
    assert opened.pull_request is not None
    commit = two_live.git.commit(opened.pull_request.head)
    assert f"This reverts commit {second.commit}." in commit.message
    assert "too many returns" in commit.message
    assert commit.trailer("Requested-by") == "ada"
    assert set(two_live.git.changed_paths(TRUNK, commit.id)) == {"environments/local/release.yaml"}
    assert "too many returns" in opened.pull_request.body
    assert "stays held" in opened.pull_request.body


def test_what_was_rolled_back_is_held_when_it_is_proposed_again(two_live: World) -> None:
    roll_back_and_propose(two_live, proposals=6)


@pytest.mark.soak
def test_what_was_rolled_back_is_held_and_a_newer_model_is_not(two_live: World) -> None:
    roll_back_and_propose(two_live, proposals=100)


def roll_back_and_propose(world: World, proposals: int) -> None:
    roll_back(world)
    world.merge()
    propose_what_is_held(world, proposals)
    world.train(3)
    assert [world.open().action for _ in range(3)] == ["opened", "found", "found"]


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
    two_live: World, damage: Damage, reason: str
) -> None:
    first = two_live.promoted[1]
    damage(two_live, first.release.model_sha256)
    with pytest.raises(Refused) as caught:
        roll_back(two_live)
    assert caught.value.reason == reason
    assert open_proposals(two_live.forge, "local") == []


def test_it_supersedes_an_open_promotion_and_no_promotion_supersedes_it(two_live: World) -> None:
    two_live.train(3)
    two_live.open()
    opened = roll_back(two_live)
    assert opened.superseded == (3,)
    with pytest.raises(Refused, match="is a rollback; merge or close it first"):
        two_live.open()
    assert [each.number for each in open_proposals(two_live.forge, "local")] == [4]


def test_asked_again_it_finds_its_pull_request_and_one_a_person_closed_stays_closed(two_live: World) -> None:
    first = roll_back(two_live).pull_request
    assert roll_back(two_live).action == "found"
    assert first is not None
    two_live.forge.acting_as("approver").close(first.number, "it recovered")
    with pytest.raises(Refused, match="was closed by approver"):
        roll_back(two_live)


def test_comments_that_came_after_the_promotion_are_kept(two_live: World) -> None:
    path = "environments/local/release.yaml"
    two_live.commit_as_person("say more", {path: two_live.file().replace(b"line by line", b"by line")})
    roll_back(two_live)
    two_live.merge()
    assert b"by line." in two_live.file()
    assert two_live.live().model_version == 1


def test_the_evidence_of_what_was_rolled_back_stays_readable_from_its_commit(two_live: World) -> None:
    second = two_live.promoted[2]
    two_live.revert_as_person(second.commit)
    data = two_live.git.read(second.commit, evidence_path_of("local", second.release))
    assert Evidence.from_bytes(data or b"").sha256 == two_live.git.commit(second.commit).trailer(
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


FORECAST = "registry.example.com/shop/forecast:abc1234"


@pytest.fixture(scope="module")
def with_images(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Copied by `pulled`."""
    world = World(tmp_path_factory.mktemp("images") / "world", rules={"local": IMAGES})
    world.promote(1)
    world.promote(2, "def5678")
    return world


@pytest.fixture
def pulled(with_images: World, tmp_path: Path) -> World:
    """Model 1 with image abc1234 was promoted and then model 2 with def5678, where images are in a registry."""
    return with_images.copied(tmp_path / "world")


@pytest.mark.parametrize(("kind", "reason"), [("missing", "no_image"), ("moved", "moved_tag")])
def test_an_earlier_image_that_is_gone_or_has_other_bytes_is_said_before_anything_is_opened(
    pulled: World, kind: str, reason: str
) -> None:
    getattr(pulled.images, kind).add(FORECAST)
    with pytest.raises(Refused) as caught:
        roll_back(pulled)
    assert caught.value.reason == reason
    assert open_proposals(pulled.forge, "local") == []
    getattr(pulled.images, kind).clear()
    assert roll_back(pulled).action == "opened"


def test_an_image_that_vanishes_before_the_merge_stops_it(pulled: World) -> None:
    roll_back(pulled)
    pulled.images.missing.add(FORECAST)
    with pytest.raises(Refused, match="abc1234 does not exist"):
        pulled.merge()
    assert pulled.live().model_version == 2


def test_without_a_registry_nobody_knows_whether_it_could_be_pulled(pulled: World) -> None:
    with pytest.raises(Broken, match="whether 1-abc1234 can be pulled"):
        open_rollback(replace(pulled.bridge, images=None), "local", "ada", "why")


def test_what_was_released_by_hand_without_evidence_can_be_returned_to(pulled: World) -> None:
    """Nobody knows which bytes it had, so that the images exist has to do."""
    by_hand = edit(pulled.file(), pulled.live().model_copy(update={"image_tag": "ghi9012"}))
    pulled.commit_as_person("by hand", {path_of("local"): by_hand})
    pulled.promote(3, "jkl3456")
    assert roll_back(pulled).release.image_tag == "ghi9012"
