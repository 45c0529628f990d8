"""Residual drift: a run length that is kept, errors and coverage that change found within two batches."""

from dataclasses import replace

import numpy as np
import pytest

from ml.drift.residual_drift import (
    ALLOWANCE,
    RUN_LENGTH,
    Labelled,
    judge_residuals,
    labelled,
    siegmund_limit,
)
from tests.ml.drift.labelled_batches import TOO_NARROW, Errors, outcomes

ERRORS = Errors(rows=300)


def judged(seed: int, factor: float, since: int) -> str:
    made = labelled(outcomes(ERRORS, seed, batches=6 + since, grown=factor, since=since), batch="batch")
    return judge_residuals(made, ERRORS.backtest).answer


def until(of: Labelled, count: int) -> Labelled:
    statistics, noise = (
        {name: values[:count] for name, values in each.items()} for each in (of.statistics, of.noise)
    )
    return replace(of, starts=of.starts[:count], rows=of.rows[:count], statistics=statistics, noise=noise)


@pytest.mark.parametrize("run_length", [200, 1_000])
def test_the_limit_has_the_run_length_that_it_says(run_length: int) -> None:
    """One-sided sums of a million normal scores, started again after each alarm."""
    limit = siegmund_limit(run_length, ALLOWANCE)
    paths, steps = 2_000, 500
    totals, alarms = np.zeros(paths), 0
    rng = np.random.default_rng(1)
    for _ in range(steps):
        totals = np.maximum(0.0, totals + rng.normal(size=paths) - ALLOWANCE)
        over = totals > limit
        alarms += int(over.sum())
        totals[over] = 0.0
    assert paths * steps / alarms == pytest.approx(run_length, rel=0.2)


def test_errors_like_those_of_the_backtest_are_no_drift() -> None:
    alarms = 0
    for seed in range(6):
        still = labelled(outcomes(ERRORS, seed, batches=40), batch="batch")
        alarms += sum(
            judge_residuals(until(still, ERRORS.backtest + k), ERRORS.backtest).answer == "drift"
            for k in range(1, 41, 3)
        )
    assert alarms <= 4  # of 84; 0.05 of them, rounded down


@pytest.mark.parametrize("factor", [1.25, TOO_NARROW])
def test_larger_errors_are_found_within_two_batches(factor: float) -> None:
    found = [judged(seed, factor, 1) == "drift" or judged(seed, factor, 2) == "drift" for seed in range(12)]
    assert sum(found) >= 10


def test_the_charts_that_alarm_are_named_with_their_effect() -> None:
    made = labelled(outcomes(ERRORS, 1, batches=8, grown=1.6, since=3), batch="batch")
    report = judge_residuals(made, ERRORS.backtest)
    assert set(report.found) == {"errors grew", "coverage fell"}
    grew = next(chart for chart in report.charts if chart.name == "errors grew")
    assert grew.effect == pytest.approx(np.log(1.6), abs=0.15)


def test_statistics_by_hand() -> None:
    """In standard deviations by the interval: the error of an outcome at p90 is half of 2.563."""
    frame = outcomes(Errors(backtest=1, rows=40), 0, batches=0)
    at_p90 = labelled(frame.with_columns(actual="p90"), batch="batch")
    assert np.exp(at_p90.statistics["error"][0]) == pytest.approx(2.563 / 2)
    assert at_p90.statistics["coverage"].tolist() == [1.0]
    assert at_p90.statistics["rank"].tolist() == [1.0]


def test_what_cannot_be_judged_says_why() -> None:
    made = labelled(outcomes(ERRORS, 0, batches=1), batch="batch")
    assert "6 are needed" in judge_residuals(made, 5).reason
    assert "no outcome" in judge_residuals(until(made, ERRORS.backtest), ERRORS.backtest).reason
    few = replace(made, rows=np.append(made.rows[:-1], 29.0))
    assert judge_residuals(few, ERRORS.backtest).answer == "not enough data"
    assert RUN_LENGTH >= 52
