"""Did the errors drift? Errors and coverage of labelled batches, by charts of cumulative sums.

Each chart (Page 1954) adds up how far batches lie off the model's own backtest and alarms above a limit. A batch is
measured against those before it, by the tail of as few as they are, and becomes one of them some batches later: a
self-starting chart (Hawkins 1987), whose run length does not depend on how well few batches tell mean and spread.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.drift.batches import Dates
from ml.drift.verdict import Answer
from ml.inference import student_two_sided

Floats = NDArray[np.float64]
RUN_LENGTH: Final = 260
"""Batches without drift until the first alarm of any chart, on average, were all scores normal: five years of weeks."""

ALLOWANCE: Final = 1.5
"""What a batch may lie off, in standard deviations, before it adds to the sum: half of what is to be found soon."""

LAG: Final = 4
"""Batches after which one is part of what newer ones are measured against."""

FEWEST_BATCHES: Final = 6
FEWEST_ROWS: Final = 30
CAP: Final = 1.0
"""A sum stands at most so far above its limit, so that it comes down soon after errors do."""

CHARTS: Final[dict[str, tuple[str, int]]] = {
    "errors grew": ("error", 1),
    "coverage fell": ("coverage", -1),
    "forecasts too low": ("rank", 1),
    "forecasts too high": ("rank", -1),
}
"""The statistic that each chart follows, and the direction in which it looks."""

FEWEST_FOR_MEMORY: Final = 12
SMALLEST_SPREAD: Final = 0.02
"""Few batches can look calmer than they are: a statistic is taken to move at least this much."""

SMALLEST_TAIL: Final = 1e-12
OVERSHOOT: Final = 1.166
"""Twice the mean overshoot of a normal random walk over a limit."""

NORMAL_80: Final = 2.563
"""Width of a normal's 80 % interval in standard deviations."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Batches whose outcomes are known.

    Attributes:
        starts: (T,) first day of each, `datetime64[D]`, oldest first.
        rows: (T,) how many forecasts each has.
        statistics: (T,) by name. `error`: log of the mean absolute error, each in standard deviations by its own
            80 % interval. `coverage`: share inside that interval. `rank`: mean of 0, 1/2 and 1 for outcomes below,
            at and above the median.
        noise: (T,) by the same names: variance from the batch's own rows, were they independent.
    """

    starts: Dates
    rows: Floats
    statistics: Mapping[str, Floats]
    noise: Mapping[str, Floats]


@dataclass(frozen=True)
class Chart:
    """Where one chart stands after the newest batch.

    Attributes:
        name: What it looks for.
        effect: How far the newest batch lies off the backtest: log ratio of errors, share, mean rank.
        total: The cumulative sum, in standard deviations.
        limit: Above it there is drift.
    """

    name: str
    effect: float
    total: float
    limit: float

    @property
    def drifted(self) -> bool:
        """Whether it alarms."""
        return self.total > self.limit


@dataclass(frozen=True)
class ResidualDrift:
    """The answer, the charts that alarm first."""

    answer: Answer
    reason: str
    batch: str
    reference_batches: int
    labelled_batches: int
    charts: tuple[Chart, ...] = ()

    @property
    def found(self) -> list[str]:
        """Names of the charts that alarm."""
        return [chart.name for chart in self.charts if chart.drifted]


def labelled(frame: pl.DataFrame, *, batch: str) -> Labelled:
    """Statistics of batches of forecasts whose outcomes are known.

    Args:
        frame: One row per forecast: `actual`, `p10`, `p50`, `p90` and the first day of its batch; without missing.
        batch: Name of that column, `Date`.
    """
    actual, middle = pl.col("actual"), pl.col("p50")
    scale = pl.max_horizontal((pl.col("p90") - pl.col("p10")) / NORMAL_80, pl.lit(1e-9))
    error = (actual - middle).abs() / scale
    table = (
        frame.group_by(batch)
        .agg(
            pl.len().alias("rows"),
            error.mean().alias("mean"),
            error.var().alias("var"),
            actual.is_between(pl.col("p10"), pl.col("p90")).mean().alias("coverage"),
            ((actual > middle) + 0.5 * (actual == middle)).mean().alias("rank"),
        )
        .sort(batch)
    )
    rows, mean, var, coverage, rank = (
        table[name].cast(pl.Float64).to_numpy() for name in ("rows", "mean", "var", "coverage", "rank")
    )
    mean = np.maximum(mean, 1e-9)
    usual = min(max(float(np.average(coverage, weights=rows)), 0.01), 0.99)
    return Labelled(
        table[batch].to_numpy().astype("datetime64[D]"),
        rows,
        {"error": np.log(mean), "coverage": coverage, "rank": rank},
        {
            "error": np.nan_to_num(var) / mean**2 / rows,
            "coverage": usual * (1 - usual) / rows,
            "rank": 0.25 / rows,
        },
    )


def judge_residuals(of: Labelled, reference: int, run_length: int = RUN_LENGTH) -> ResidualDrift:
    """Whether the errors of the newest labelled batches are those of the backtest.

    Args:
        of: Labelled batches, of which the first `reference` are the model's own backtest.
        reference: How many.
        run_length: Of all charts together.
    """
    count = len(of.starts)
    newest = str(of.starts[-1]) if count else ""
    undecided = ("not enough data", newest, reference, count - reference)
    if reference < FEWEST_BATCHES:
        return _undecided(*undecided[1:], f"{reference} batches were backtested, {FEWEST_BATCHES} are needed")
    if count <= reference:
        return _undecided(*undecided[1:], "no outcome of a forecast since the backtest is known yet")
    if of.rows[-1] < FEWEST_ROWS:
        return _undecided(*undecided[1:], f"the newest batch has {of.rows[-1]:.0f}, {FEWEST_ROWS} are needed")
    charts = [
        _chart(name, direction * of.statistics[what], of.noise[what], reference, run_length * len(CHARTS))
        for name, (what, direction) in CHARTS.items()
    ]
    charts.sort(key=lambda chart: chart.limit - chart.total)
    found = [chart for chart in charts if chart.drifted]
    told = ", ".join(f"{chart.name} ({chart.effect:+.2f})" for chart in found)
    return ResidualDrift(
        "drift" if found else "no drift",
        told or "errors are those of the backtest",
        newest,
        reference,
        count - reference,
        tuple(charts),
    )


def _undecided(batch: str, reference: int, batches: int, reason: str) -> ResidualDrift:
    return ResidualDrift("not enough data", reason, batch, reference, batches)


def _chart(name: str, values: Floats, noise: Floats, reference: int, run_length: int) -> Chart:
    limit = siegmund_limit(run_length, ALLOWANCE)
    total = 0.0
    for k in range(reference, len(values)):
        score = _score(values[: k + 1], noise[: k + 1], max(reference, k - LAG))
        total = min(max(0.0, total + score - ALLOWANCE), limit + CAP)
    return Chart(name, float(values[-1] - values[:reference].mean()) * CHARTS[name][1], total, limit)


def _score(values: Floats, noise: Floats, reference: int) -> float:
    """Normal score of the last value: how far it is off what the first `reference` values and its memory expect."""
    past, usual_noise = values[:reference], float(noise[:reference].mean())
    memory = _memory(past)
    off = values - past.mean()
    fresh = off[1:] - memory * off[:-1]
    before = fresh[: reference - 1]
    freedom = len(before) - 1
    own = usual_noise * (1 - memory**2) / 2
    variance = max(float(before.var(ddof=1)), own, SMALLEST_SPREAD**2) + max(
        0.0, float(noise[-1]) - usual_noise
    )
    t = float(fresh[-1] - before.mean()) / math.sqrt(variance * (1 + 1 / len(before)))
    tail = max(student_two_sided(abs(t), freedom) / 2, SMALLEST_TAIL)
    return math.copysign(NormalDist().inv_cdf(1 - tail), t)


def _memory(past: Floats) -> float:
    """AR(1) coefficient without its bias of about (1 + 4 rho) / T (Kendall 1954), from 0 to 0.9; 0 of few values."""
    if len(past) < FEWEST_FOR_MEMORY:
        return 0.0
    off = past - past.mean()
    total = float(off @ off)
    found = float(off[1:] @ off[:-1]) / total if total > 0 else 0.0
    return min(max(found + (1 + 4 * found) / len(past), 0.0), 0.9)


@lru_cache(maxsize=16)
def siegmund_limit(run_length: float, allowance: float) -> float:
    """The limit of a one-sided chart of normal scores with this mean run length in control (Siegmund 1985).

    Solves `run_length = (exp(2kb) - 2kb - 1) / (2k^2)` with `b = limit + 1.166` by bisection.
    """
    low, high = 0.0, 50.0
    while (middle := (low + high) / 2) not in (low, high):
        reach = 2 * allowance * (middle + OVERSHOOT)
        if math.exp(reach) - reach - 1 < 2 * allowance**2 * run_length:
            low = middle
        else:
            high = middle
    return high
