"""A release whose model is not what it says: no new pod becomes ready, old ones serve, a revert gets through."""

import time
from pathlib import Path

import pytest

from scripts.release_file import Release
from tests.cluster.bed import HERE, STAGING
from tests.cluster.load import load
from tests.cluster.models import Model
from tests.cluster.pods import Pod, seconds_until
from tests.cluster.progress import tell
from tests.cluster.releases import LIMIT_SECONDS, ensure, live_after, merge_and_wait
from tests.cluster.repository import PROMOTER
from tests.cluster.world import NODE_PORTS, World

pytestmark = pytest.mark.cluster

REVERTED_SECONDS = 90.0
_WATCHED_SECONDS = 5.0


@pytest.fixture(scope="module")
def good(world: World) -> Release:
    """A release that is live in staging."""
    wanted = world.release(world.tags[0], world.first)
    ensure(world, "staging", wanted)
    return wanted


def test_a_wrong_sha256_never_serves_and_its_revert_is_live_in_time(world: World, good: Release) -> None:
    absent = Model(world.first.version, f"{world.first.sha256[:-1]}{int(world.first.sha256[-1], 16) ^ 1:x}")
    _assert_harmless(world, good, world.release(good.image_tag, absent), says="no bundle")


def test_a_flipped_byte_never_serves_and_its_revert_is_live_in_time(world: World, good: Release) -> None:
    flipped = world.models.retrained(world.first, 1)[0]
    with world.models.flipped(flipped):
        _assert_harmless(world, good, world.release(good.image_tag, flipped), says="the file was changed")


def _assert_harmless(world: World, good: Release, bad: Release, says: str) -> None:
    def write(folder: Path) -> None:
        world.write_release(folder, "staging", bad)

    with load(f"http://{HERE}:{NODE_PORTS[STAGING]}/forecast?limit=1") as report:
        commit = world.repository.merged(f"staging: {bad}", write)
        seconds_until(lambda: says in _why_not_ready(world), LIMIT_SECONDS, f"a pod that says {says!r}")
        until = time.monotonic() + _WATCHED_SECONDS
        while time.monotonic() < until:
            assert _not_ready(world), "the broken release became ready"
            time.sleep(0.5)
        number = world.repository.propose_revert(PROMOTER, commit)
        back = merge_and_wait(world, "staging", number, good)
        live_after(world, "staging", good, alone=True)
    tell(f"a broken release's revert was live after {back.seconds} s")
    assert back.seconds <= REVERTED_SECONDS
    assert report["failed"] == 0, report
    assert report["versions"].keys() == {str(good.model_version)}


def _not_ready(world: World) -> list[Pod]:
    pods = world.api.pods(STAGING)
    return [pod for pod in pods if pod.service == "forecast" and not (pod.ready or pod.ending)]


def _why_not_ready(world: World) -> str:
    return "".join(world.api.said(STAGING, pod, "/ready") for pod in _not_ready(world))
