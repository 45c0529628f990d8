"""How latency grows with load: `python -m benchmarks.load --seconds 60 --plot docs/serving-load.svg`.

An open loop: independent callers arrive at Poisson times that are fixed in advance, and a latency counts from the
time at which a request was due. First the capacity is measured with every connection busy, then latency at shares of
it; the bars are held at half. The generator has the last core, the server the first. A bare ASGI route is measured in
the same way, because a busy machine or a slow generator shows there too. One JSON object on stdout; exit code 1 when a
bar was missed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.load_client import Answers, ask_at, poisson_times
from benchmarks.load_plot import plot
from benchmarks.serving_rig import BARE, Rig, Server, running

SHARES = (0.1, 0.25, 0.5, 0.7, 0.85)
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
P99_SECONDS, P999_SECONDS = 0.005, 0.020
BAR_SHARE = 0.5
CONNECTIONS = 32
SEED = 7


def main() -> int:
    """Measure both servers at each load, draw, and say whether the bars were met."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig.build(Path(folder), options.products)
        servers = {"snapshot": (rig.forecast(), "/ready"), "bare": (BARE, "/")}
        told: dict[str, Any] = {}
        for name, (command, ready) in servers.items():
            with running(*command, ready, rig.folder / f"{name}.log", cores[:1]) as server:
                told[name] = measured(server, rig.asked(), options.seconds)
    half = _at(told["snapshot"], BAR_SHARE)
    told["ratio_to_bare_p99"] = round(half["p99_ms"] / _at(told["bare"], BAR_SHARE)["p99_ms"], 2)
    told["load_average"] = os.getloadavg()[0]
    told["missed"] = missed(half)
    if options.plot:
        options.plot.write_text(plot({name: told[name]["loads"] for name in servers}))
    print(json.dumps(told))
    return 1 if told["missed"] else 0


def measured(server: Server, requests: list[bytes], seconds: float) -> dict[str, Any]:
    """Capacity in requests a second, and what callers met at shares of it."""
    capacity = _capacity(server, requests)
    loads = []
    for share in SHARES:
        lasting = seconds if share == BAR_SHARE else seconds / 4
        due = poisson_times(share * capacity, lasting, SEED)
        answers = asyncio.run(ask_at(server.port, requests, due, connections=CONNECTIONS))
        loads.append({"share": share, "rate": round(share * capacity), **percentiles(answers)})
    return {"capacity": round(capacity), "loads": loads}


def percentiles(answers: Answers) -> dict[str, float]:
    """Milliseconds from when requests were due, by percentile; `late` is how late the generator sent them."""
    latency = 1e3 * answers.latency_seconds
    late = 1e3 * np.percentile(answers.sent - answers.due, 99)
    named = {f"p{level:g}_ms": round(float(np.nanpercentile(latency, level)), 3) for level in PERCENTILES}
    return {"requests": len(latency), "errors": answers.errors, **named, "late_p99_ms": round(float(late), 3)}


def missed(half: dict[str, float]) -> list[str]:
    """Names of the bars that were not met at half of the capacity."""
    bars = {
        "p99": half["p99_ms"] <= 1e3 * P99_SECONDS,
        "p99.9": half["p99.9_ms"] <= 1e3 * P999_SECONDS,
        "errors": half["errors"] == 0,
    }
    return [name for name, met in bars.items() if not met]


def _capacity(server: Server, requests: list[bytes]) -> float:
    """Median of five rounds with every connection busy."""
    rates = []
    for _ in range(5):
        answers = asyncio.run(ask_at(server.port, requests, np.zeros(4000), connections=CONNECTIONS))
        rates.append(len(answers.due) / float(np.nanmax(answers.ended)))
    return median(rates)


def _at(told: dict[str, Any], share: float) -> dict[str, float]:
    return next(load for load in told["loads"] if load["share"] == share)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=1000, help="in the snapshot [%(default)s]")
    parser.add_argument("--seconds", type=float, default=60.0, help="at half of the capacity [%(default)s]")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw latency over load, as SVG")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
