"""The step at the end of a series against generalised least squares written out, and the calendar against dates."""

import numpy as np
import pytest
from scipy.stats import t as student

from ml.drift import season_aligned
from ml.drift.batches import Batches, Statistic
from ml.drift.occasions import exposure
from ml.drift.season_aligned import reference, steps
from tests.ml.drift.seasonal_frames import FEASTS

MEMORY = 0.5


def weekly(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Batches:
    starts = np.datetime64("2023-01-02") + 7 * np.arange(len(values))
    rows = np.full(len(values), 50.0)
    return Batches(starts, "week", rows, (Statistic("x", "location", "", values, np.zeros(len(values))),))


def test_a_step_is_that_of_generalised_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Effect and p-value with the whole covariance matrix of AR(1) errors; nothing is usual for this season."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=120).cumsum() * 0.1 + rng.normal(size=120)
    of = weekly(values)
    expected_from = reference(of)
    monkeypatch.setattr(season_aligned, "_memory", lambda _x, y, _before: (MEMORY, np.zeros(len(y))))
    found = {step.window: step for step in steps(values, np.zeros(120), expected_from)}
    lags = np.abs(np.subtract.outer(np.arange(120), np.arange(120)))
    inverse = np.linalg.inv(MEMORY**lags)
    for window in (1, 2, 4):
        dummy = (np.arange(120) >= 120 - window).astype(np.float64)
        x = np.column_stack([expected_from.design, dummy])
        covariance = np.linalg.pinv(x.T @ inverse @ x)
        beta = covariance @ x.T @ inverse @ values
        off = values - x @ beta
        freedom = 120 - x.shape[1] - 1
        error = np.sqrt(off @ inverse @ off / freedom * covariance[-1, -1])
        assert found[window].effect == pytest.approx(beta[-1])
        assert found[window].p_value == pytest.approx(
            2 * student.sf(abs(beta[-1]) / error, freedom), rel=1e-6
        )


def test_occasions_are_on_their_days() -> None:
    """At most two days off the days that were kept, which is why an occasion has days on both sides."""
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2027-01-01"))
    shares = exposure(days, days + 1)
    for name, told in FEASTS.items():
        for day in told.split():
            at = int((np.datetime64(day) - days[0]).astype(int))
            assert shares[name][at] == 1, (name, day)
            assert shares[name][at - 30] == 0, (name, day)


def test_a_week_has_an_occasion_by_the_share_of_its_days() -> None:
    """Christmas and new year are December 11 to January 1: five days of the week from December 7."""
    start = np.array(["2026-12-07"], dtype="datetime64[D]")
    assert exposure(start, start + 7)["christmas and new year"].tolist() == [pytest.approx(3 / 7)]


def test_a_short_series_has_no_test() -> None:
    values = np.random.default_rng(0).normal(size=30)
    values[:20] = np.nan
    assert steps(values, np.zeros(30), reference(weekly(values))) == []
