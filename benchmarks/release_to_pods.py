"""How long a merge takes to reach every pod, on the cluster that the variables name.

    python -m benchmarks.release_to_pods [--pairs 20] [--kinds model image both]

A pair is a release by pull request and its plain `git revert`, in staging, mode `single`, by webhook, with every
image on the node beforehand. The clock starts with the answer to the merge. `live` is when every pod that stays is
ready and reports the release (`/model-info`, the image of every service); `alone` is when the old pods have ended too.
Standard output is one JSON object, seconds throughout.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator

from scripts.release_file import Release
from tests.cluster.models import Model
from tests.cluster.progress import tell
from tests.cluster.releases import Served, ensure, live_after, release, revert
from tests.cluster.world import World, world

KINDS = ("model", "image", "both")

Times = dict[str, list[float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pairs", type=int, default=20, help="releases and reverts of each kind [%(default)s]"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["model", "image"])
    options = parser.parse_args()
    with world() as made:
        newer = made.models.retrained(made.first, 1)[0]
        found = {kind: dict(_measured(made, newer, kind, options.pairs)) for kind in options.kinds}
    cores = len(os.sched_getaffinity(0))
    print(json.dumps({"pairs": options.pairs, "cores": cores, "seconds": found}, indent=1))


def _measured(made: World, model: Model, kind: str, pairs: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Summaries of releases and reverts of one kind."""
    older, newer = _releases(made, model, kind)
    ensure(made, "staging", older)
    live_after(made, "staging", older, alone=True)
    times: Times = {f"{what}_{until}": [] for what in ("release", "revert") for until in ("live", "alone")}
    for number in range(pairs):
        served = release(made, "staging", newer)
        _note(made, times, "release", newer, served)
        back = revert(made, "staging", served.commit, older)
        _note(made, times, "revert", older, back)
        tell(
            f"{kind} {number + 1} of {pairs}: live after {served.seconds} s, reverted after {back.seconds} s"
        )
    for what, seconds in times.items():
        yield what, _summary(seconds)


def _releases(made: World, model: Model, kind: str) -> tuple[Release, Release]:
    older = made.release(made.tags[0], made.first)
    tag = made.tags[0 if kind == "model" else 1]
    return older, made.release(tag, made.first if kind == "image" else model)


def _note(made: World, times: Times, what: str, wanted: Release, served: Served) -> None:
    live_after(made, "staging", wanted, alone=True)
    times[f"{what}_live"].append(served.seconds)
    times[f"{what}_alone"].append(time.monotonic() - served.merged_at)


def _summary(seconds: list[float]) -> dict[str, float]:
    """The 95th percentile is the smallest time that 95 % of the runs kept to."""
    ordered = sorted(seconds)
    p95 = ordered[-(-len(ordered) * 95 // 100) - 1]
    numbers = {"p50": statistics.median(ordered), "p95": p95, "max": ordered[-1]}
    return {name: round(value, 1) for name, value in numbers.items()}


if __name__ == "__main__":
    main()
