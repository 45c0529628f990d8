"""Good, slow, failing and silent releases on the real controllers of Argo CD and Argo Rollouts, with a Prometheus.

Nobody touches anything between the merge of a release and the open rollback.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Refused
from scripts.promotion.rollback import open_rollback
from scripts.release_file import Release
from scripts.running.rollouts import ARGO
from tests.cluster.pods import seconds_until
from tests.cluster.progress import tell
from tests.cluster.rollout_shop import RolloutShop, rollout_shop
from tests.policies.api_server import kubectl
from tests.scripts.test_killed_anywhere import end_of, in_a_child

pytestmark = pytest.mark.cluster

ABORT_SECONDS, LIVE_SECONDS = 120, 180
FAULTS = {
    "slow": "p95-seconds Failed",
    "failing": "error-share Failed",
    "silent": "measured []",
    "other": "mean-change-share Failed",
}


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutShop]:
    with begun(tmp_path_factory.mktemp("canary"), "canary") as shop:
        yield shop


@contextmanager
def begun(folder: Path, strategy: str) -> Iterator[RolloutShop]:
    """A shop whose first release is live; a Rollout's first pods are measured by nobody."""
    with rollout_shop(folder, strategy) as shop:
        live(shop, "the first release")
        yield shop


def live(shop: RolloutShop, what: str) -> float:
    wanted: Release = shop.world.live()
    return seconds_until(lambda: shop.serves(wanted), LIVE_SECONDS, f"{what} is live")


def open_rollbacks(shop: RolloutShop) -> list[Any]:
    return [each for each in shop.world.forge.pull_requests("rollback/") if each.state == "open"]


def aborts_and_is_proposed_back(shop: RolloutShop, tag: str) -> dict[str, float]:
    """Merge a bad release, wait for the open rollback, merge that; seconds of each part."""
    before = shop.world.live()
    shop.promoted(next_version(shop), tag)
    aborted = seconds_until(
        lambda: shop.rollout()["status"].get("abort", False), ABORT_SECONDS, f"{tag} aborts"
    )
    assert all(each.image.endswith(f":{before.image_tag}") for each in stable_pods(shop))
    proposed = seconds_until(lambda: bool(open_rollbacks(shop)), 30, "the rollback is open")
    (pull,) = open_rollbacks(shop)
    message = shop.world.git.commit(pull.head).message
    assert FAULTS[tag] in message, message.splitlines()[4]
    shop.merged()
    back = live(shop, "the release before")
    assert shop.world.live() == before
    return {"aborted": aborted, "proposed": proposed, "back": back}


def next_version(shop: RolloutShop) -> int:
    return max(shop.world.registry.entries) + 1


def stable_pods(shop: RolloutShop) -> list[Any]:
    stable = shop.rollout()["status"]["stableRS"]
    found = [each for each in shop.cluster.pods(shop.namespace) if stable in each.name]
    assert [each for each in found if each.ready]
    return found


def test_a_good_release_is_promoted_whole_and_nothing_is_proposed(canary: RolloutShop) -> None:
    with canary.watched() as said:
        canary.promoted(2, "good-2")
        seconds = live(canary, "a good release")
    tell(f"a good release was live everywhere after {seconds:.1f} s")
    assert any("Paused, step 1 of 6" in each["rollouts"][0] for each in said), said
    assert {each.get("action") for each in said} == {"none"}
    assert open_rollbacks(canary) == []


def test_a_revert_of_what_was_promoted_whole_skips_the_steps(canary: RolloutShop) -> None:
    """Before any release is aborted: those count in the window too."""
    canary.promoted(next_version(canary), "good-3")
    forward, measured = live(canary, "a good release"), analyses(canary)
    open_rollback(canary.world.bridge, "local", "ada", "too many returns")
    canary.merged()
    back = live(canary, "the release before")
    tell(f"forward in {forward:.1f} s, back within rollbackWindow in {back:.1f} s")
    assert measured
    assert analyses(canary) <= measured, "what is known is not measured again"


@pytest.mark.parametrize(
    "tag", ["slow", "silent", *(pytest.param(each, marks=pytest.mark.soak) for each in ("failing", "other"))]
)
def test_a_bad_release_aborts_and_its_rollback_is_open_without_a_hand(canary: RolloutShop, tag: str) -> None:
    with canary.watched():
        took = aborts_and_is_proposed_back(canary, tag)
    tell(json.dumps({tag: {part: round(seconds, 1) for part, seconds in took.items()}}))


def analyses(shop: RolloutShop) -> set[str]:
    """Names of all that were made."""
    return {each["metadata"]["name"] for each in shop.cluster.objects(shop.namespace, ARGO, "analysisruns")}


@pytest.mark.soak
def test_a_watch_that_is_killed_again_and_again_still_proposes_once(canary: RolloutShop) -> None:
    """The process dies every two seconds, from before the merge until after the pull request is open."""
    before = canary.world.live()
    canary.promoted(next_version(canary), "silent")
    deadline, kills = time.monotonic() + ABORT_SECONDS, 0
    while time.monotonic() < deadline and not (open_rollbacks(canary) and kills > 10):
        child = in_a_child(lambda: looks_for_ever(canary))
        time.sleep(2 if kills < 5 else 0.5 + 0.3 * (kills % 5))
        os.killpg(child, signal.SIGKILL)
        end_of(child)
        kills += 1
        canary.world.anew()
    assert kills > 10
    canary.watch().look()
    assert len(open_rollbacks(canary)) == 1
    canary.merged()
    live(canary, "the release before")
    assert canary.world.live() == before


def looks_for_ever(shop: RolloutShop) -> None:
    shop.world.anew()
    watch: Callable[[], object] = shop.watch().look
    while True:
        try:
            watch()
        except Refused:
            time.sleep(0.1)


@pytest.mark.soak
def test_blue_and_green_switch_and_switch_back(tmp_path: Path) -> None:
    with begun(tmp_path, "blue-green") as shop, shop.watched():
        shop.promoted(2, "good-2")
        tell(f"green was live after {live(shop, 'green'):.1f} s")
        for tag in FAULTS:
            took = aborts_and_is_proposed_back(shop, tag)
            tell(json.dumps({tag: {part: round(seconds, 1) for part, seconds in took.items()}}))


@pytest.mark.soak
def test_an_environment_that_serves_is_switched_and_switched_back_without_losing_a_request(
    tmp_path: Path,
) -> None:
    """By the two merges each that docs/progressive-delivery.md asks for; with one each, some are lost."""
    with rollout_shop(tmp_path) as shop:
        has_pods(shop, 2, 0)
        shop.failed.clear()
        for components, deployed, rolled in (
            (("canary", "beside"), 2, 2),
            (("canary",), 0, 2),
            (("canary", "beside"), 2, 2),
            ((), 2, 0),
        ):
            shop.take(*components)
            has_pods(shop, deployed, rolled)
        tell(f"{shop.answered} answered, {len(shop.failed)} failed over two switches")
        assert shop.failed == []


def has_pods(shop: RolloutShop, deployed: int, rolled: int) -> None:
    what = f"{deployed} pods of the Deployment and {rolled} of the Rollout"
    wanted = {"Deployment": deployed, "Rollout": rolled}
    seconds_until(lambda: {kind: pods_of(shop, kind) for kind in wanted} == wanted, 120, what)


def pods_of(shop: RolloutShop, kind: str) -> int:
    """Ready pods that a Deployment or a Rollout brought."""
    hashes = {"Deployment": "pod-template-hash", "Rollout": "rollouts-pod-template-hash"}
    found, _ = kubectl("-n", shop.namespace, "get", "pods", "-l", hashes[kind], "-o", "json")
    ready = [
        each
        for each in json.loads(found)["items"]
        if "deletionTimestamp" not in each["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in each["status"]["conditions"])
    ]
    return len(ready)
