"""What runs where, since when and why not something else: read from Git and the forge."""

from pathlib import Path
from typing import Any

from scripts.forges.forge import Forge
from scripts.history.repository import temporary_copy
from scripts.release_file import path_of
from scripts.status.report import history, states
from tests.scripts.world import RELEASE, World


def plan(forge: Forge) -> dict[str, Any]:
    with temporary_copy(forge) as repository:
        return states(forge, repository)


def test_the_plan_shows_each_environment_and_since_when_they_differ(tmp_path: Path) -> None:
    world = World(tmp_path, ("local", "staging"))
    same = plan(world.forge)
    assert same["differences"] == []
    assert same["environments"]["staging"]["release"]["model_version"] == 0
    world.promote(1)
    second = world.promote(2)
    world.train(3)
    opened = world.open()
    assert opened.pull_request is not None
    told = plan(world.forge)
    local = told["environments"]["local"]
    assert local["release"] == second.release.model_dump()
    assert local["commit"] == second.commit
    assert local["rollback_to"] == "1-abc1234"
    assert [each["pull_request"] for each in local["open"]] == [3]
    at = world.git.commit(second.commit).at.isoformat()
    assert local["since"] == at
    assert told["differences"] == [{"environments": ["local", "staging"], "since": at}]


def test_the_plan_names_what_is_held_and_by_which_commit(two_live: World) -> None:
    revert = two_live.revert_as_person(two_live.promoted[2].commit)
    (held,) = plan(two_live.forge)["environments"]["local"]["held"]
    assert held["release"] == "2-abc1234"
    assert revert[:12] in held["why"]


def test_a_release_file_that_somebody_broke_is_a_line_in_the_plan(world: World) -> None:
    world.commit_as_person("break it", {path_of("local"): RELEASE.replace(b'"0"', b"0")})
    local = plan(world.forge)["environments"]["local"]
    assert local["release"] is None
    assert "line 11" in local["problem"]


def test_the_history_is_the_deployment_log_newest_first(two_live: World) -> None:
    first = two_live.promoted[1]
    second = two_live.promoted[2]
    revert = two_live.revert_as_person(second.commit)
    log = history(two_live.forge, "local")
    assert [each["kind"] for each in log] == ["rollback", "promotion", "promotion", "first"]
    assert [each["commit"] for each in log[:3]] == [revert, second.commit, first.commit]
    assert log[1]["requested_by"] == "ada"
    assert log[1]["pull_request"] == "#2"
    assert log[1]["replaced"] == first.release.model_dump()
    assert log[0]["release"] == first.release.model_dump()
