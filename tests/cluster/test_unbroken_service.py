"""Fifty requests a second lose none while releases come and go, and many without the graceful stop."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.release_file import Release
from tests.cluster.bed import HERE, STAGING
from tests.cluster.load import load
from tests.cluster.progress import tell
from tests.cluster.releases import ensure, live_after, release, revert
from tests.cluster.world import NODE_PORTS, World

pytestmark = pytest.mark.cluster

URL = f"http://{HERE}:{NODE_PORTS[STAGING]}/forecast?limit=1"


@pytest.fixture(scope="module")
def both(world: World) -> tuple[Release, Release]:
    """Two releases that differ in image and model; the first is live in staging."""
    older = world.release(world.tags[0], world.first)
    newer = world.release(world.tags[1], world.models.retrained(world.first, 1)[0])
    ensure(world, "staging", older)
    return older, newer


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_none_is_lost_through_promotions_and_as_many_reverts(
    world: World, both: tuple[Release, Release], rounds: int
) -> None:
    report = _under_load(world, both, rounds)
    assert report["failed"] == 0, report
    _assert_kept_pace(report)


def test_without_the_graceful_stop_requests_are_lost(world: World, both: tuple[Release, Release]) -> None:
    """The same load notices when pods end at once: the zeros above are worth something."""
    older, newer = both
    deployment = world.repository.folder / "environments" / "base" / "forecast" / "deployment.yaml"
    graceful = deployment.read_text()
    release(world, "staging", newer, lambda _: _stop_at_once(deployment))
    live_after(world, "staging", newer, alone=True)
    try:
        for wanted in (older, newer, older):  # one may be lucky
            with load(URL) as report:
                release(world, "staging", wanted)
                live_after(world, "staging", wanted, alone=True)
            tell(json.dumps(report))
            if report["failed"]:
                break
    finally:
        release(world, "staging", newer, lambda _: _write(deployment, graceful))
    assert report["failed"] > 0, report
    assert report["answered"] > report["failed"], report


def _under_load(world: World, both: tuple[Release, Release], rounds: int) -> dict[str, Any]:
    older, newer = both
    seconds: list[float] = []
    with load(URL) as report:
        for number in range(rounds):
            served = release(world, "staging", newer)
            back = revert(world, "staging", served.commit, older)
            seconds += [served.seconds, back.seconds]
            tell(f"round {number + 1} of {rounds}: live after {served.seconds} s and {back.seconds} s")
        live_after(world, "staging", older, alone=True)
    tell(json.dumps({"live_seconds": sorted(seconds), **report}))
    return report


def _assert_kept_pace(report: dict[str, Any]) -> None:
    """The load was what it says: both versions answered it, and requests left when they were due."""
    assert report["requests"] == report["answered"]
    assert len(report["versions"]) == 2
    assert report["late_milliseconds"]["p99"] < 200


def _stop_at_once(file: Path) -> None:
    """No sleep before the stop, a second for all of it, and no answers on open connections meanwhile."""
    deployment = yaml.safe_load(file.read_text())
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    del container["lifecycle"]
    next(each for each in container["env"] if each["name"] == "FORECAST_DRAIN_SECONDS")["value"] = "0"
    pod["terminationGracePeriodSeconds"] = 1
    _write(file, yaml.safe_dump(deployment))


def _write(file: Path, content: str) -> None:
    file.write_text(content)
