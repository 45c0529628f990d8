"""An aborted rollout becomes one rollback pull request, whatever is killed, and nothing else becomes one."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Refused
from scripts.history.deployment_history import live_file
from scripts.history.repository import TRUNK, Repository
from scripts.promote import main
from scripts.promotion.rollback import open_rollback
from scripts.release_file import Release, parse
from scripts.running import watch as watching
from scripts.running.kubernetes import ClusterUnavailable
from scripts.running.pods import Expected
from scripts.running.rollouts import rollouts
from scripts.running.watch import BROKEN_LOOKS, Watch, keep_looking
from tests.scripts.stored_rollouts import ABORTED, HEALTHY, Stored, joined, stored
from tests.scripts.test_confirm import FakeCluster
from tests.scripts.test_killed_anywhere import (
    ends_the_same_after_any_moment,
    ends_the_same_after_every_effect,
)
from tests.scripts.test_promote import outside_of
from tests.scripts.world import World

OTHER = Release(image_tag="abc0000", model_version=11, model_sha256="4" * 64)


@pytest.fixture(autouse=True)
def _no_kustomize(monkeypatch: pytest.MonkeyPatch) -> None:
    """What should run, without rendering it: tests/scripts/test_confirm.py tries that."""

    def expected_of(repository: Repository, environment: str) -> Expected:
        release = parse(live_file(repository, environment, TRUNK))
        images = {name: f"shop/{name}:{release.image_tag}" for name in ("decision", "forecast")}
        return Expected("shop", release, images, {}, frozenset(images))

    monkeypatch.setattr(watching, "expected_of", expected_of)


def watch_of(world: World, found: Stored) -> Watch:
    return Watch(world.forge, lambda: world.bridge, FakeCluster(stored=found), "local", "watch")


def aborted(world: World, **changes: Any) -> Stored:
    return stored(world.live(), ABORTED, **changes)


def rollbacks(world: World) -> list[Any]:
    return world.forge.pull_requests("rollback/")


def test_an_aborted_release_gets_the_pull_request_that_restores_the_one_before(two_live: World) -> None:
    watch = watch_of(two_live, aborted(two_live))
    seen = watch.look().to_json()
    (pull,) = rollbacks(two_live)
    assert (seen["action"], seen["pull_request"], pull.state) == ("opened", pull.number, "open")
    assert seen["release"]["model_version"] == 1
    commit = two_live.git.commit(pull.head)
    assert "p95-seconds Failed in forecast-5d6f-2-2, measured [0.9]" in commit.message
    assert "of-an-earlier-one" not in commit.message
    assert commit.trailer("Requested-by") == "watch"
    assert watch.look().opened is None, "this process answered it"
    assert watch_of(two_live, aborted(two_live)).look().to_json()["action"] == "found", "another one finds it"
    assert len(rollbacks(two_live)) == 1


def test_two_aborts_of_one_release_are_one_rollback_that_names_both(two_live: World) -> None:
    found = joined(aborted(two_live), aborted(two_live, name="decision"))
    watch_of(two_live, found).look()
    (pull,) = rollbacks(two_live)
    message = two_live.git.commit(pull.head).message
    assert "rollout decision was aborted" in message
    assert "rollout forecast was aborted" in message


def test_after_the_merge_the_abort_of_the_other_release_asks_for_nothing(two_live: World) -> None:
    """Argo CD has not brought the merge yet: a second rollback would go back too far."""
    found = aborted(two_live)
    watch = watch_of(two_live, found)
    watch.look()
    two_live.merge()
    for each in (watch, watch_of(two_live, found)):
        assert each.look().opened is None
    assert len(rollbacks(two_live)) == 1


@pytest.mark.parametrize(
    "found",
    [
        lambda live: stored(live, HEALTHY),
        lambda live: stored(live, {"phase": "Progressing", "currentStepIndex": 1}),
        lambda live: stored(live, {"phase": "Degraded", "message": "InvalidSpec: no"}),
        lambda live: stored(live, {}),
        lambda _: stored(OTHER, ABORTED),
        lambda live: stored(live.model_copy(update={"model_version": 9}), ABORTED),
        lambda live: stored(live.model_copy(update={"model_sha256": "4" * 64}), ABORTED),
        lambda live: stored(live, ABORTED, image="elsewhere/forecast:abc1234"),
        lambda live: stored(live, ABORTED, name="collector"),
        lambda live: stored(live, ABORTED) | {"replicasets": []},
        lambda _: {},
    ],
)
def test_nothing_but_an_abort_of_the_live_release_is_answered(
    two_live: World, found: Callable[[Release], Stored]
) -> None:
    assert watch_of(two_live, found(two_live.live())).look().opened is None
    assert rollbacks(two_live) == []


def test_a_model_alone_is_no_matter_of_the_decision_service(two_live: World) -> None:
    """Its pods say no model, so an abort of them counts by their image."""
    found = stored(OTHER, ABORTED, name="decision", image="shop/decision:abc1234")
    assert watch_of(two_live, found).look().opened is not None


def test_one_that_a_person_closed_stays_closed(two_live: World) -> None:
    watch_of(two_live, aborted(two_live)).look()
    (pull,) = rollbacks(two_live)
    two_live.forge.acting_as("bo").close(pull.number, "we fix it forward")
    with pytest.raises(Refused, match="was closed by bo"):
        watch_of(two_live, aborted(two_live)).look()
    assert [each.state for each in rollbacks(two_live)] == ["closed"]


def test_one_that_was_asked_for_by_hand_is_found(two_live: World) -> None:
    open_rollback(two_live.bridge, "local", "ada", "too many returns")
    assert watch_of(two_live, aborted(two_live)).look().to_json()["action"] == "found"
    assert len(rollbacks(two_live)) == 1


def test_a_release_merged_while_it_looks_is_not_rolled_back(two_live: World) -> None:
    watch = watch_of(two_live, aborted(two_live))
    bridge = watch.bridge

    def slow() -> Any:
        two_live.promote(3)
        return bridge()

    watch.bridge = slow
    with pytest.raises(Refused, match="is at 3-abc1234 by now"):
        watch.look()
    assert rollbacks(two_live) == []


def test_the_same_release_aborted_again_is_answered_again(two_live: World) -> None:
    cluster = FakeCluster(stored=aborted(two_live))
    watch = Watch(two_live.forge, lambda: two_live.bridge, cluster, "local", "watch")
    watch.look()
    later = ABORTED | {"abortedAt": "2026-11-02T10:00:00Z"}
    cluster.stored = stored(two_live.live(), later)
    assert watch.look().opened is not None


def look(world: World) -> None:
    watch_of(world, aborted(world)).look()


@pytest.mark.parametrize("name", ["alone", pytest.param("over an open promotion", marks=pytest.mark.soak)])
def test_killed_after_every_side_effect_the_next_run_ends_the_same(
    two_live: World, tmp_path: Path, name: str
) -> None:
    expected = 2
    if name == "over an open promotion":
        two_live.train(3)
        two_live.open()
        expected = 4
    ends_the_same_after_every_effect(two_live, tmp_path, look, expected)


@pytest.mark.parametrize("attempts", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_killed_at_any_moment_there_is_one_pull_request(
    two_live: World, tmp_path: Path, attempts: int
) -> None:
    random_moments = random.Random(7)  # noqa: S311
    moments = (random_moments.uniform(0.1, 1.0) for _ in range(attempts))
    ends_the_same_after_any_moment(two_live, tmp_path, look, moments)


@dataclass
class Flaky:
    """A cluster that is away for some looks."""

    away: int
    cluster: FakeCluster = field(default_factory=FakeCluster)

    def objects(self, *where: str) -> list[dict[str, Any]]:
        self.away -= 1
        if self.away >= 0:
            raise ClusterUnavailable("gone")
        return self.cluster.objects(*where)


class Enough(Exception):
    """Ends what never ends."""


def told_of(watch: Watch, looks: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    left = iter(range(looks - 1))

    def sleep(_: float) -> None:
        if next(left, None) is None:
            raise Enough

    with pytest.raises(Enough):
        keep_looking(watch, 1, told.append, sleep)
    return told


def test_a_cluster_that_comes_back_is_looked_at_again(two_live: World) -> None:
    watch = watch_of(two_live, {})
    watch.cluster = Flaky(3, FakeCluster(stored=aborted(two_live)))  # type: ignore[assignment]
    told = told_of(watch, 6)
    assert [each.get("reason", each.get("action")) for each in told] == ["broke", "opened", "none"]
    assert len(rollbacks(two_live)) == 1


def test_a_cluster_that_stays_away_ends_the_process(two_live: World) -> None:
    watch = watch_of(two_live, {})
    watch.cluster = Flaky(10**6)  # type: ignore[assignment]
    slept: list[float] = []
    with pytest.raises(ClusterUnavailable):
        keep_looking(watch, 2.5, lambda _: None, slept.append)
    assert slept == [2.5] * (BROKEN_LOOKS - 1)


def test_a_refusal_is_told_once_and_does_not_end_the_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BROKEN_LOOKS", 2)
    world.promote(1)
    told = told_of(watch_of(world, aborted(world)), 4)
    assert [each["reason"] for each in told] == ["nothing_earlier"]


def test_the_command_looks_once(two_live: World, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--repository", str(two_live.forge.directory), "--environment", "local", "--once"]
    outside = replace(outside_of(two_live), cluster=lambda: FakeCluster(stored=aborted(two_live)))
    assert main(["watch", *where], outside) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["environment"], said["action"], said["release"]["model_version"]) == ("local", "opened", 1)
    two_live.forge.acting_as("bo").close(said["pull_request"], "we fix it forward")
    assert main(["watch", *where], outside) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == "rejected"


def test_where_a_rollout_is_is_told_in_a_line(two_live: World) -> None:
    live = two_live.live()
    for status, line in (
        (
            {"phase": "Paused", "currentStepIndex": 1, "message": "CanaryPauseStep"},
            "is Paused, step 1 of 6: Can",
        ),
        ({}, "is not seen yet"),
        (ABORTED, "was aborted: p95-seconds Failed in forecast-5d6f-2-2, measured [0.9]"),
    ):
        (found,) = rollouts(FakeCluster(stored=stored(live, status)), "shop")
        assert found.told.startswith(f"rollout forecast {line}")
    without = stored(live, ABORTED) | {"analysisruns": []}
    (found,) = rollouts(FakeCluster(stored=without), "shop")
    assert 'Metric "p95-seconds" assessed Failed' in found.told
