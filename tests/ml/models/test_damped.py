"""The damped trend against a plain loop over one series, its parts against what is known of them."""

import math

import numpy as np
import pytest

from ml.models.damped import FORMS, LARGEST_MULTIPLE, DampedTrend
from tests.ml.models.series import SHAPE, seasonal_series, series

NAN = float("nan")


def by_hand(values: list[float]) -> float:
    """Each form by the error-correction equations of the textbook, averaged by exp(-AIC / 2)."""
    forecasts, criteria = [], []
    for alpha, beta, phi in FORMS:
        level, trend, squares = values[0], 0.0, 0.0
        for value in values[1:]:
            error = value - (level + phi * trend)
            squares += error**2
            level, trend = level + phi * trend + alpha * error, phi * trend + beta * error
        count = len(values) - 1
        forecasts.append(level + phi * trend)
        criteria.append(count * math.log(squares / count) + 2 * (3 if beta else 1))
    weights = [math.exp((min(criteria) - one) / 2) for one in criteria]
    return sum(w * f for w, f in zip(weights, forecasts, strict=True)) / sum(weights)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_akaike_average_of_its_forms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = list(40 + rng.normal(0, 6, 18) + 1.5 * np.arange(18))
    found = DampedTrend().point(series([NAN] * 4 + values))[0]  # 22 months are too few for a season
    assert found == pytest.approx(by_hand(values), rel=1e-9)


def test_a_steep_line_is_followed_further_than_without_a_trend() -> None:
    line = [10.0 + 5 * t for t in range(20)]
    found = DampedTrend().point(series(line))[0]
    assert 105 < found < 112


def test_the_season_of_the_next_month_is_forecast() -> None:
    found = DampedTrend().point(series(seasonal_series(5)[:-4]))[0]
    assert found == pytest.approx(100 * SHAPE[8], rel=0.02)


def test_constant_single_and_missing_months_have_plain_answers() -> None:
    found = DampedTrend().point(series([7.0] * 9, [NAN] * 8 + [3.0], [0.0] * 9, [NAN] * 9))
    np.testing.assert_allclose(found[:3], [7.0, 3.0, 0.0], atol=1e-12)
    assert np.isnan(found[3])


def test_a_forecast_is_neither_negative_nor_far_above_anything_seen() -> None:
    falling, rising = [100.0 - 12 * t for t in range(9)], [1.0] * 6 + [40.0, 900.0, 40_000.0]
    found = DampedTrend().point(series(falling, rising))
    assert found[0] >= 0.0
    assert found[1] <= LARGEST_MULTIPLE * 40_000
