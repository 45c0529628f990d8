"""How long from a decision to its open pull request: `python -m benchmarks.open_promotion --forge local --forge gitea`.

Every run promotes a newer model to staging, with the environments of this checkout, rendered before and after: the
bundle and its snapshot are loaded, the gates judged, the pull request of the run before is superseded with a link.
Registry, images and metrics are in memory, models in a folder. One JSON object on stdout; the exit code is 1 when a
p95 is over its bar. Gitea is the one of `GITEA_URL`, in a repository of a random name, removed afterwards.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.manifests.render import difference
from scripts.promotion.bridge import Wish
from scripts.promotion.opening import open_promotion
from tests.cluster.gitea import gitea_world
from tests.scripts.world import World

ROOT = Path(__file__).parents[1]
ENVIRONMENT = "staging"
BAR_SECONDS = {"local": 5.0, "gitea": 15.0}


def main() -> int:
    """Measure each forge."""
    options = _options()
    told = {forge: _measured(forge, options.runs) for forge in options.forge or ["local"]}
    print(json.dumps({"runs": options.runs, "forges": told}))
    return int(any(figures["p95_seconds"] > figures["bar_seconds"] for figures in told.values()))


def _measured(forge: str, runs: int) -> dict[str, Any]:
    with _world(forge) as world:
        world.commit_as_person("environments: of the checkout", _environments())
        took = [_seconds_of_opening(world, version) for version in range(1, runs + 1)]
    ninety_five = statistics.quantiles(took, n=20, method="inclusive")[-1]
    return {
        "p50_seconds": round(statistics.median(took), 3),
        "p95_seconds": round(ninety_five, 3),
        "slowest_seconds": round(max(took), 3),
        "bar_seconds": BAR_SECONDS[forge],
    }


@contextmanager
def _world(forge: str) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="open-") as folder:
        if forge == "local":
            yield World(Path(folder), (ENVIRONMENT,))
        else:
            with gitea_world(Path(folder), (ENVIRONMENT,)) as world:
                yield world


def _seconds_of_opening(world: World, version: int) -> float:
    world.train(version)
    bridge = replace(world.bridge, render=difference)
    began = time.perf_counter()
    opened = open_promotion(bridge, Wish(ENVIRONMENT, "ada", "challenger", "abc1234"))
    took = time.perf_counter() - began
    if opened.action != "opened" or len(opened.superseded) != (version > 1):
        raise SystemExit(f"version {version} was not opened in place of the one before: {opened}")
    return took


def _environments() -> dict[str, bytes]:
    paths = (path for path in (ROOT / "environments").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in paths}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forge", action="append", choices=sorted(BAR_SECONDS))
    parser.add_argument("--runs", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
