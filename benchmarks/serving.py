"""CPU time of a request beside `mlflow models serve`: `python -m benchmarks.serving --runs 5`.

The same booster and the same products in one run, one in each request: MLflow gets a row of features and gives a
number; as a pyfunc (`benchmarks.history_model`) it gets a history and gives the whole forecast, as the service does
live; the service gets an id (from the snapshot), a bare ASGI route nothing. CPU time is of the whole process tree,
divided by the requests that it answered; servers take turns and the median of the runs counts, so load of others on
the machine meets all alike. One JSON object on stdout; exit code 1 when a bar was missed.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.load_client import ask_at
from benchmarks.serving_rig import BARE, Rig, Server, running

LIVE_BAR, SNAPSHOT_BAR, BATCH_BAR = 1 / 15, 1 / 40, 0.7
CONNECTIONS = 8

Ask = tuple[Server, Sequence[bytes]]


def main() -> int:
    """Measure, say what came out, and whether the bars were met."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rig = Rig.build(Path(folder), options.products)
        told = compare(_asks(rig, stack), options.runs, options.requests)
        told |= batches(rig, told.pop("server"), options.runs)
    told["load_average"] = os.getloadavg()[0]
    told["missed"] = missed(told)
    print(json.dumps(told))
    return 1 if told["missed"] else 0


def _asks(rig: Rig, stack: ExitStack) -> dict[str, Ask]:
    """What is asked of which server, by name."""

    def server(name: str, command: tuple[Sequence[str], Mapping[str, str]], ready: str) -> Server:
        return stack.enter_context(running(*command, ready, rig.folder / f"{name}.log"))

    ours = server("forecast", rig.forecast(), "/ready")
    counting = server("counting", rig.forecast(FORECAST_SERVED_STORE=str(rig.folder / "served")), "/ready")
    return {
        "mlflow": (server("mlflow", rig.mlflow("mlflow"), "/ping"), rig.invocations()),
        "mlflow_pyfunc": (server("pyfunc", rig.mlflow("pyfunc"), "/ping"), rig.histories()),
        "live": (ours, rig.live()),
        "live_counted": (counting, rig.live()),
        "snapshot": (ours, rig.asked()),
        "snapshot_counted": (counting, rig.asked()),
        "bare": (server("bare", BARE, "/"), rig.asked()),
    }


def compare(asks: Mapping[str, Ask], runs: int, requests: int) -> dict[str, Any]:
    """Median CPU microseconds of a request by name, each a share of MLflow's two, and resident MiB of the service."""
    for server, sent in asks.values():
        _cpu_seconds(server, sent, 50)  # warm
    spent: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(runs):
        for name, (server, sent) in asks.items():
            count = requests // 10 if name.startswith("mlflow") else requests
            spent[name].append(1e6 * _cpu_seconds(server, sent, count) / count)
    micros = {name: round(median(each), 1) for name, each in spent.items()}
    server = asks["live"][0]
    return {
        "cpu_microseconds": micros,
        **{
            f"share_of_{base}": {name: round(each / micros[base], 4) for name, each in micros.items()}
            for base in ("mlflow", "mlflow_pyfunc")
        },
        "resident_mib": round(server.resident_bytes() / 2**20, 1),
        "server": server,
    }


def batches(rig: Rig, server: Server, runs: int) -> dict[str, float]:
    """Rows in a second of CPU: of the bare booster, and of one request with as many histories."""
    sent = rig.batch()
    rows = len(rig.rows)
    bare = median(_process_seconds(lambda: rig.booster.predict(rig.rows, num_threads=1)) for _ in range(runs))
    ours = median(_cpu_seconds(server, sent, 2) / 2 for _ in range(runs))
    return {
        "batch_rows_per_second": round(rows / ours),
        "booster_rows_per_second": round(rows / bare),
        "batch_share_of_booster": round(bare / ours, 4),
    }


def missed(told: Mapping[str, Any]) -> list[str]:
    """Names of the bars that were not met."""
    share = told["share_of_mlflow"]
    bars = {
        "live": share["live"] <= LIVE_BAR,
        "snapshot": share["snapshot"] <= SNAPSHOT_BAR,
        "batch": told["batch_share_of_booster"] >= BATCH_BAR,
    }
    return [name for name, met in bars.items() if not met]


def _cpu_seconds(server: Server, requests: Sequence[bytes], count: int) -> float:
    before = server.cpu_seconds()
    answers = asyncio.run(ask_at(server.port, requests, np.zeros(count), connections=CONNECTIONS))
    if answers.errors:
        raise RuntimeError(f"{answers.errors} of {count} requests had no 2xx answer")
    return server.cpu_seconds() - before


def _process_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--products", type=int, default=1000, help="in the snapshot and in a batch [%(default)s]"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each server, in turn [%(default)s]")
    parser.add_argument(
        "--requests", type=int, default=3000, help="in a run, a tenth for MLflow [%(default)s]"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
