"""How fast and how large a whole retrain is: `python -m benchmarks.speed --products 10000 --months 36`.

Made-up demand. Features in panel rows a second, scoring in series a second for each candidate, and fit, calibration
and backtest of all candidates as `python -m ml train` does them, each part in a process of its own on as many cores
as asked for. Bars are held against processor seconds, as if there was one core that does nothing else. One JSON object
on stdout; the exit code is 1 when a bar was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from ml.calibration import Calibration
from ml.evaluation import CALIBRATION_ORIGINS, TEST_ORIGINS, backtest
from ml.features import build, category_totals
from ml.hindcasts import Hindcasts
from ml.models import CANDIDATES
from ml.models.reference import BENCHMARK
from tests.ml.known_processes import negative_binomials

RETRAIN_SECONDS, RETRAIN_BYTES = 600.0, 1.5e9
FEATURE_ROWS, SERIES = 1.5e6, 20_000.0
PER_SERIES_FIT = {"ses", "damped_trend", "theta", "theta_fitted", "tsb", "mix", "blend"}
"""Candidates that fit something to each series when they score; the bar of series a second is for the others."""

TRAINED = 300
SEED = 7


def main() -> int:
    """Run the parts, say what they took, and whether the bars were met."""
    options = _options()
    if options.part:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
        print(json.dumps(PARTS[options.part](options.products, options.months)))
        return 0
    told = {part: _in_process(part, options) for part in options.parts}
    print(json.dumps(told | {"missed": _missed(told)}))
    return 1 if _missed(told) else 0


def features(products: int, months: int) -> dict[str, float]:
    """Rows of features in a second: one for each product and origin, as training needs them."""
    history, origins = negative_binomials(products, months, seed=SEED).history, range(2, months + 1)
    pasts = [history.until(t) for t in origins]
    seconds = _fastest(lambda: [build(past, category_totals(past)) for past in pasts])
    return {"rows_per_second": history.n * len(origins) / seconds}


def scoring(products: int, months: int) -> dict[str, float]:
    """Series a second with all quantiles, of models that learned from some of the products."""
    history = negative_binomials(products, months, seed=SEED).history
    some = history.rows(np.arange(min(TRAINED, products)))
    cached = Hindcasts(some, SEED, first=some.T - CALIBRATION_ORIGINS)
    totals = category_totals(history)
    told = {}
    for name, candidate in CANDIDATES.items():
        model = cached.model(candidate, some.T)
        calibration = Calibration.fit(candidate.uncertainty, cached.before(candidate, some.T))
        seconds = _fastest(lambda: calibration.apply(history, model.predict(history, totals)))  # noqa: B023
        told[name] = history.n / seconds
    return told


def retrain(products: int, months: int) -> dict[str, float]:
    """Every candidate and the yardstick fitted, calibrated and judged at all origins, then fitted on all months."""
    history = negative_binomials(products, months, seed=SEED).history
    started = time.perf_counter(), time.process_time()
    tested = backtest(
        history, BENCHMARK, seed=SEED, test_origins=TEST_ORIGINS, calibration_origins=CALIBRATION_ORIGINS
    )
    for candidate in CANDIDATES.values():
        tested.hindcasts.model(candidate, history.T)
    tested.table()
    return {
        "seconds": time.perf_counter() - started[0],
        "processor_seconds": time.process_time() - started[1],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
        **{f"seconds.{name}": spent for name, spent in tested.hindcasts.seconds.items()},
    }


PARTS: dict[str, Callable[[int, int], dict[str, float]]] = {
    "features": features,
    "scoring": scoring,
    "retrain": retrain,
}


def _fastest(work: Callable[[], object], runs: int = 3) -> float:
    """Processor seconds of the fastest run: the bars are for a machine that does nothing else."""
    spent = []
    for _ in range(runs):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent)


def _in_process(part: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.speed", "--part", part]
    for name in ("products", "months", "cores"):
        command += [f"--{name}", str(getattr(options, name))]
    told: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(f"{part}: {told}", file=sys.stderr)
    return told


def _missed(told: dict[str, dict[str, float]]) -> list[str]:
    missed = []
    if "features" in told and told["features"]["rows_per_second"] < FEATURE_ROWS:
        missed.append("features")
    slow = [k for k, v in told.get("scoring", {}).items() if v < SERIES and k not in PER_SERIES_FIT]
    missed += [f"scoring {name}" for name in slow]
    if "retrain" in told:
        spent, peak = told["retrain"]["processor_seconds"], told["retrain"]["peak_bytes"]
        missed += ["retrain seconds"] * (spent > RETRAIN_SECONDS) + ["retrain bytes"] * (peak > RETRAIN_BYTES)
    return missed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=10_000, help="[%(default)s]")
    parser.add_argument("--months", type=int, default=36, help="[%(default)s]")
    parser.add_argument("--cores", type=int, default=2, help="of this machine, at most [%(default)s]")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS), help="[all]")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
