"""Smoothing models on series worked by hand or by a plain loop."""

import math

import numpy as np
import pytest

from ml.features import category_totals
from ml.history import History
from ml.models.smoothing import WEIGHTS, ExponentialSmoothing, MovingAverage, Naive, SeasonalNaive, smooth
from tests.ml.models.series import series

NAN = float("nan")


def point(
    model: type[Naive | SeasonalNaive | MovingAverage | ExponentialSmoothing], history: History
) -> list[float]:
    prediction = model.fit(history, seed=0).predict(history, category_totals(history))
    assert prediction.quantiles is None
    return list(prediction.mean)


def test_naive_is_the_last_month() -> None:
    assert point(Naive, series([3, 5, 2], [NAN, NAN, 7], [NAN, NAN, NAN])) == [2, 7, 0]


def test_seasonal_naive_is_the_same_month_of_last_year_or_the_last_month() -> None:
    old, young = [float(k) for k in range(14)], [NAN] * 3 + [9.0] * 10 + [4.0]
    assert point(SeasonalNaive, series(old, young)) == [2, 4]
    assert point(SeasonalNaive, series([3, 5])) == [5]


def test_moving_average_is_the_mean_of_up_to_three_months() -> None:
    assert point(MovingAverage, series([9, 1, 2, 6], [NAN, NAN, 4, 6], [NAN, NAN, NAN, NAN])) == [3, 5, 0]


def loop(values: list[float]) -> tuple[float, float]:
    """Brown's recursion for one series and every weight."""
    best = (float("inf"), NAN, NAN)
    for weight in WEIGHTS:
        level, error = values[0], 0.0
        for value in values[1:]:
            error += (value - level) ** 2
            level = weight * value + (1 - weight) * level
        if error < best[0] - 1e-12:
            best = (error, level, weight)
    return best[1], best[2]


def test_smoothing_equals_a_plain_loop_for_each_series() -> None:
    rng = np.random.default_rng(0)
    made = [
        [NAN] * int(k) + list(rng.poisson(20, 24 - int(k)).astype(float)) for k in rng.integers(0, 20, 30)
    ]
    levels, weights = smooth(np.array(made))
    for i, row in enumerate(made):
        level, weight = loop([value for value in row if not math.isnan(value)])
        assert levels[i] == pytest.approx(level)
        assert weights[i] == weight


def test_a_series_that_drifts_is_followed_and_one_that_only_shakes_is_averaged() -> None:
    drifting, shaking = list(range(0, 240, 10)), [20.0] + [10.0, 30.0] * 11 + [20.0]
    weights = smooth(np.array([drifting, shaking], dtype=float))[1]
    assert weights.tolist() == [max(WEIGHTS), min(WEIGHTS)]


def test_smoothing_knows_nothing_of_a_product_that_never_sold() -> None:
    assert point(ExponentialSmoothing, series([NAN, NAN, NAN], [2, 2, 2])) == [0, 2]
