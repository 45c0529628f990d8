"""A pull request is merged only if it passes the check, at the very head that was checked."""

from pathlib import Path

import pytest

from scripts.errors import Refused
from scripts.forges.forge import MergeRefused
from scripts.forges.local import LocalForge
from scripts.history.repository import TRUNK
from scripts.promotion.rollback import open_rollback
from scripts.release_file import edit, path_of
from tests.scripts.test_check import forge, more_files, other_image
from tests.scripts.world import World


def test_what_does_not_pass_the_check_is_not_merged(world: World) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    forge(world, opened, more_files)
    with pytest.raises(Refused, match="touches environments/base"):
        world.merge()
    assert world.live().model_version == 0


def test_a_forged_rollback_is_not_merged(two_live: World) -> None:
    opened = open_rollback(two_live.bridge, "local", "ada", "why").pull_request
    assert opened is not None
    forge(two_live, opened, other_image)
    with pytest.raises(Refused, match="another release"):
        two_live.merge()
    assert two_live.live().model_version == 2


def test_a_head_that_moves_after_the_check_is_not_merged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.train(1)
    opened = world.open().pull_request
    assert opened is not None
    real = LocalForge.merge

    def merge(self: LocalForge, number: int, head: str, message: str) -> str:
        forge(world, opened, more_files)
        return real(self, number, head, message)

    monkeypatch.setattr(LocalForge, "merge", merge)
    with pytest.raises(MergeRefused):
        world.merge()
    assert world.live().model_version == 0


def test_production_needs_an_approval_by_somebody_who_did_not_ask(tmp_path: Path) -> None:
    world = World(tmp_path, ("production",))
    world.train(1)
    opened = world.open(environment="production").pull_request
    assert opened is not None
    with pytest.raises(Refused, match="needs an approval, not by ada"):
        world.merge(environment="production")
    world.forge.acting_as("ada").approve(opened.number, opened.head)
    with pytest.raises(Refused, match="asked for and approved by ada"):
        world.merge(environment="production")


def test_an_approved_production_release_says_by_whom(tmp_path: Path) -> None:
    world = World(tmp_path, ("production",))
    world.train(1)
    opened = world.open(environment="production").pull_request
    assert opened is not None
    world.forge.acting_as("bo").approve(opened.number, opened.head)
    merged = world.merge(environment="production")
    commit = world.git.commit(merged.commit)
    assert commit.subject == "production: model 1, image abc1234 (#1)"
    assert (commit.trailer("Approved-by"), commit.trailer("Pull-Request")) == ("bo", "#1")
    assert commit.trailer("Requested-by") == "ada"


def test_merging_again_says_the_same(world: World) -> None:
    world.train(1)
    world.open()
    merged = world.merge()
    refs = world.refs()
    assert world.merge(1) == merged
    assert world.refs() == refs


def test_which_one_is_meant_has_to_be_clear(tmp_path: Path) -> None:
    world = World(tmp_path, ("local", "staging"))
    with pytest.raises(Refused, match="local has none open"):
        world.merge()
    world.train(1)
    world.open()
    with pytest.raises(Refused, match=r"#1 .* is no proposal for staging"):
        world.merge(1, "staging")
    world.forge.close(1, "no")
    with pytest.raises(Refused, match="was closed by promoter"):
        world.merge(1)


def test_a_held_release_is_not_merged_even_if_it_was_opened_before(world: World) -> None:
    world.promote(1)
    world.train(2)
    opened = world.open("2", "abc1234")
    assert opened.pull_request is not None
    path = "environments/local/release.yaml"
    commit = world.commit_as_person("by hand", {path: edit(world.file(), opened.release)})
    world.revert_as_person(commit)
    with pytest.raises(Refused, match="brings back what is held"):
        world.merge(opened.pull_request.number)


def test_an_un_held_release_comes_back_although_its_evidence_still_lies_there(world: World) -> None:
    world.promote(1)
    world.promote(2)
    open_rollback(world.bridge, "local", "ada", "too slow")
    world.merge()
    world.commit_as_person("fixed the clients\n\nUn-hold: 2-abc1234 the clients can wait")
    opened = world.open("2").pull_request
    assert opened is not None
    base = world.git.text("merge-base", TRUNK, opened.head)
    assert set(world.git.changed_paths(base, opened.head)) == {path_of("local")}
    assert world.merge(opened.number).release.model_version == 2
