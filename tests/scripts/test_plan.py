"""What could move, what stands in its way, and how long still."""

from datetime import timedelta
from typing import Any

import pytest

from ml.errors import StoreUnavailable
from scripts.status.plan import plan
from tests.scripts.test_promotion import flip_a_byte
from tests.scripts.world import World


def could_move(world: World, environment: str = "local", *, git_only: bool = False) -> Any:
    told = plan(world.forge, None if git_only else world.bridge, world.now)
    return told["environments"][environment]["could_move"]


def reason(world: World, environment: str = "local") -> str | None:
    obstacle = could_move(world, environment)["stands_in_the_way"]
    return obstacle["reason"] if obstacle else None


def test_a_newer_challenger_could_move_and_the_live_one_not(two_live: World) -> None:
    assert could_move(two_live) is None
    digest = two_live.train(3)
    move = could_move(two_live)
    assert (move["from"], move["stands_in_the_way"], move["soak_minutes_left"]) == ("challenger", None, None)
    assert move["release"] == {"image_tag": "abc1234", "model_version": 3, "model_sha256": digest}
    assert could_move(two_live, git_only=True) is None
    two_live.registry.set_alias("challenger", 1)
    assert could_move(two_live) is None


def test_what_stands_in_the_way_is_what_open_would_say(two_live: World) -> None:
    two_live.revert_as_person(two_live.promoted[2].commit)
    assert reason(two_live) == "held"
    two_live.train(3, verdict={"answer": "worse", "against": "mix"})
    assert reason(two_live) == "gate_better_than_champion"
    flip_a_byte(two_live, two_live.train(4))
    assert reason(two_live) == "bad_bundle"


def test_nothing_is_written_by_looking(two_live: World) -> None:
    two_live.train(3)
    refs = two_live.refs()
    could_move(two_live)
    assert two_live.refs() == refs


def test_a_first_release_needs_an_image(world: World) -> None:
    world.train(1)
    assert reason(world) == "bad_image_tag"


def test_without_a_challenger_or_a_registry_the_plan_still_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert could_move(world)["stands_in_the_way"]["reason"] == "ModelNotFound"

    def away(*_: object) -> None:
        raise StoreUnavailable("the registry is down")

    monkeypatch.setattr(type(world.registry), "resolve", away)
    assert could_move(world)["stands_in_the_way"] == {
        "reason": "unavailable",
        "error": "the registry is down",
    }


def test_production_takes_what_staging_runs_once_it_has_soaked(soaked: World) -> None:
    move = could_move(soaked, "production")
    assert move["release"] == soaked.live("staging").model_dump()
    assert (move["from"], move["soak_minutes_left"], move["stands_in_the_way"]) == ("staging", 0.0, None)
    assert could_move(soaked, "production", git_only=True)["release"] == move["release"]
    assert could_move(soaked, "staging") is None


def test_the_minutes_of_the_soak_that_are_left_are_said(soaked: World) -> None:
    soaked.promote(2, environment="staging")
    soaked.metrics.serve("shop-staging", soaked.live("staging"), soaked.now)
    soaked.now += timedelta(minutes=20)
    move = could_move(soaked, "production")
    assert move["release"]["model_version"] == 2
    assert 39 < move["soak_minutes_left"] <= 40
    assert move["stands_in_the_way"]["reason"] == "soak_short"
    soaked.now += timedelta(minutes=41)
    assert reason(soaked, "production") is None
    soaked.metrics.p95_seconds = 9.0
    assert reason(soaked, "production") == "gate_latency"


def test_an_environment_whose_rules_cannot_be_read_is_a_line_in_the_plan(soaked: World) -> None:
    soaked.commit_as_person("break it", {"environments/production/promotion.yaml": b"soak: 3\n"})
    assert reason(soaked, "production") == "bad_rules"
    assert could_move(soaked, "staging") is None
