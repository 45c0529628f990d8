"""Releases merged by people, and how long it takes until the pods serve them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from scripts.release_file import Release
from tests.cluster.bed import HERE
from tests.cluster.keys import HEADERS
from tests.cluster.pods import seconds_until
from tests.cluster.repository import APPROVER, PROMOTER
from tests.cluster.world import NODE_PORTS, World

LIMIT_SECONDS = 240.0


Change = Callable[[Path], None]


@dataclass(frozen=True)
class Served:
    """A merge, and the seconds from the forge's answer to it until every pod that stays reported the release."""

    commit: str
    merged_at: float
    seconds: float


def ensure(world: World, environment: str, wanted: Release) -> None:
    """Have the environment installed and this release live in it and alone, whatever was there before."""
    world.tell_argo_cd()
    world.install(environment)
    if not world.api.live(f"purchase-prediction-{environment}", wanted):
        release(world, environment, wanted)
    live_after(world, environment, wanted, alone=True)
    seconds_until(
        lambda: _answers(environment, wanted), 60, f"{environment}'s node port answers with {wanted}"
    )


def release(world: World, environment: str, wanted: Release, change: Change | None = None) -> Served:
    """Merge a change of the release's lines, and what else is to change, and wait until it is served."""

    def write(folder: Path) -> None:
        world.write_release(folder, environment, wanted)
        if change:
            change(folder)

    number = world.repository.propose(PROMOTER, f"{environment}: {wanted}", write)
    return merge_and_wait(world, environment, number, wanted)


def revert(world: World, environment: str, commit: str, wanted: Release) -> Served:
    """Merge a plain `git revert` and wait until the release before is served."""
    return merge_and_wait(world, environment, world.repository.propose_revert(PROMOTER, commit), wanted)


def merge_and_wait(world: World, environment: str, number: int, wanted: Release) -> Served:
    """Approve, merge, and look at the pods from the moment of the forge's answer."""
    world.repository.approve(APPROVER, number)
    commit = world.repository.merge(PROMOTER, number)
    merged_at = time.monotonic()
    live_after(world, environment, wanted)
    return Served(commit, merged_at, round(time.monotonic() - merged_at, 2))


def live_after(world: World, environment: str, wanted: Release, *, alone: bool = False) -> float:
    """Seconds from now until every pod that stays serves the release; `alone`: until the others have ended."""
    namespace = f"purchase-prediction-{environment}"
    what = f"{wanted} in {environment}"
    return seconds_until(lambda: world.api.live(namespace, wanted, alone=alone), LIMIT_SECONDS, what)


def _answers(environment: str, wanted: Release) -> bool:
    """Whether kube-proxy leads the node port to the release already: it follows the pods a moment later."""
    port = NODE_PORTS[f"purchase-prediction-{environment}"]
    try:
        answer = httpx.get(f"http://{HERE}:{port}/forecast?limit=1", headers=HEADERS, trust_env=False)
    except httpx.HTTPError:
        return False
    return bool(answer.headers.get("x-model-version") == str(wanted.model_version))
