"""Theta against the two-line definition of the paper,."""

import math

import numpy as np
import pytest

from ml.models.smoothing import WEIGHTS
from ml.models.theta import LARGEST_MULTIPLE, Theta
from tests.ml.models.series import SHAPE, seasonal_series, series

NAN = float("nan")


def two_lines(values: list[float]) -> float:
    """Half the line with twice the curvature, smoothed, and half the trend line (the original definition)."""
    n = len(values)
    time = np.arange(1, n + 1)
    slope, start = np.polyfit(time, values, 1)
    curved = 2 * np.array(values) - (start + slope * time)
    best = (math.inf, NAN)
    for weight in WEIGHTS:
        level, error, own = curved[0], 0.0, values[0]
        for k in range(1, n):
            error += (values[k] - own) ** 2
            own += weight * (values[k] - own)
            level += weight * (curved[k] - level)
        if error < best[0] - 1e-9:
            best = (error, 0.5 * (level + start + slope * (n + 1)))
    return best[1]


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_mean_of_the_two_theta_lines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = list(50 + rng.normal(0, 5, 20) + 2.0 * np.arange(20))
    # the start of the smoothed line differs by half a line at the first month, which is forgotten geometrically
    assert Theta().point(series(values))[0] == pytest.approx(two_lines(values), rel=0.01)


def test_a_straight_line_is_continued_half_way_at_least() -> None:
    found = Theta().point(series([10.0 + 2 * t for t in range(20)]))[0]
    assert 48 < found <= 50


def test_months_before_the_first_sale_do_not_matter() -> None:
    values = [4.0, 9.0, 6.0, 7.0, 12.0]
    assert Theta().point(series([NAN] * 9 + values))[0] == Theta().point(series(values, start="2024-10"))[0]


@pytest.mark.parametrize("start", ["2024-01", "2024-06"])
def test_the_season_of_the_next_month_is_forecast(start: str) -> None:
    found = Theta().point(series(seasonal_series(5)[:-4], start=start))[0]
    assert found == pytest.approx(100 * SHAPE[8], rel=0.02)


def test_a_season_with_empty_months_is_added_instead_of_multiplied() -> None:
    found = Theta().point(series(seasonal_series(5, zero=60.0)[:-5]))[0]  # 0 units in the eighth month
    assert found == pytest.approx(0.0, abs=2.0)
    assert seasonal_series(5, zero=60.0)[-6] == pytest.approx(40.0)  # what the month before would say


def test_a_forecast_is_neither_negative_nor_far_above_anything_seen() -> None:
    falling, rising = [100.0 - 10 * t for t in range(11)], [0.0] * 8 + [1.0, 40.0, 900.0]
    found = Theta().point(series(falling, rising))
    assert found[0] == 0.0
    assert found[1] <= LARGEST_MULTIPLE * 900


def test_one_month_is_repeated() -> None:
    assert Theta().point(series([NAN, NAN, 8]))[0] == 8.0
