"""Two years of weekly runs: inputs and outcomes judged week by week, and the verdicts that follow."""

from dataclasses import replace

import polars as pl

from ml.drift.batches import Batches, batches
from ml.drift.input_drift import judge_batches
from ml.drift.residual_drift import Labelled, judge_residuals, labelled
from ml.drift.verdict import Judged, Verdict, combined, verdict
from tests.ml.drift.labelled_batches import Errors, outcomes
from tests.ml.drift.seasonal_frames import World, frame

WEEKS = 104
KNOWN = World(every="week", months=48, memory=0.3)
"""Two years before the first run, then the two years that are run."""


def verdicts(
    seed: int, episodes: tuple[int, ...] = (), *, weeks: int = WEEKS, memory: float = 0.3
) -> list[Verdict]:
    """What each weekly run says; three of 20 columns shift by one standard deviation in each episode's week."""
    made = frame(replace(KNOWN, memory=memory), seed)
    starts = made["batch"].unique().sort()
    for k, week in enumerate(episodes):
        since = starts[len(starts) - weeks + week]
        columns = [f"x{3 * k + i}" for i in range(3)]
        made = made.with_columns(
            pl.when(pl.col("batch") >= since).then(pl.col(name) + 1.0).otherwise(name).alias(name)
            for name in columns
        )
    inputs = batches(made, batch="batch", every="week")
    errors = Errors(backtest=26, memory=memory)
    labels = labelled(outcomes(errors, seed, batches=weeks), batch="batch")
    said: list[Verdict] = []
    judged: list[Judged] = []
    for week in range(weeks):
        count = len(inputs.starts) - weeks + week + 1
        found = judge_batches(_until(inputs, count))
        residuals = judge_residuals(_labelled_until(labels, errors.backtest + week + 1), errors.backtest)
        now = Judged(found.batch, combined(found.answer, residuals.answer), found.p_value)
        said.append(verdict(judged, now))
        judged.append(now)
    return said


def until_first(said: list[Verdict]) -> tuple[int, bool]:
    """Runs up to the first that finds drift, itself among them, and whether there is one (Page 1954)."""
    for run, each in enumerate(said, 1):
        if each.answer == "drift":
            return run, True
    return len(said), False


def alarms(said: list[Verdict]) -> int:
    """Runs that find drift after one that did not: what follows each other is one signal of the same batches."""
    found = [each.answer == "drift" for each in said]
    return sum(now and not before for before, now in zip([False, *found[:-1]], found, strict=True))


def _until(of: Batches, count: int) -> Batches:
    kept = tuple(
        replace(each, values=each.values[:count], noise=each.noise[:count]) for each in of.statistics
    )
    return replace(of, starts=of.starts[:count], rows=of.rows[:count], statistics=kept)


def _labelled_until(of: Labelled, count: int) -> Labelled:
    return Labelled(
        of.starts[:count],
        of.rows[:count],
        {name: values[:count] for name, values in of.statistics.items()},
        {name: values[:count] for name, values in of.noise.items()},
    )
