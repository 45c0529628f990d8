"""Every metric on numbers worked by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ml import metrics
from ml.distribution import pmf
from ml.errors import NoDemand

Floats = NDArray[np.float64]

ACTUAL = np.array([10.0, 0.0, 4.0, 6.0])
FORECAST = np.array([8.0, 1.0, 4.0, 10.0])  # errors -2, 1, 0, 4


def test_mean_absolute_error() -> None:
    assert metrics.mae(ACTUAL, FORECAST) == 7 / 4


def test_root_mean_squared_error() -> None:
    assert metrics.rmse(ACTUAL, FORECAST) == pytest.approx(np.sqrt(21 / 4))


def test_absolute_errors_are_related_to_all_units_sold() -> None:
    assert metrics.wape(ACTUAL, FORECAST) == pytest.approx(7 / 20)


def test_bias_is_negative_when_too_little_was_forecast() -> None:
    assert metrics.bias(ACTUAL, FORECAST) == pytest.approx(3 / 20)
    assert metrics.bias(FORECAST, ACTUAL) == pytest.approx(-3 / 23)


@pytest.mark.parametrize("metric", [metrics.wape, metrics.bias])
def test_errors_cannot_be_related_to_no_sales(metric: Callable[[Floats, Floats], float]) -> None:
    with pytest.raises(NoDemand, match="all 3 rows"):
        metric(np.zeros(3), np.ones(3))


def test_scaled_error_is_the_mean_of_errors_in_scales() -> None:
    assert metrics.mase(ACTUAL, FORECAST, np.array([2.0, 0.5, 1.0, 4.0])) == (1 + 2 + 0 + 1) / 4


def test_squared_scaled_error_is_per_product_first() -> None:
    series = np.array([5, 7, 5, 7])
    # product 5: errors -2 and 0 in a scale of 4: sqrt((1 + 0) / 2); product 7: 1 and 4 in 1: sqrt(17 / 2)
    expected = (np.sqrt(0.5) + np.sqrt(8.5)) / 2
    assert metrics.rmsse(ACTUAL, FORECAST, np.array([4.0, 1, 4, 1]), series) == pytest.approx(expected)


def test_pinball_loss_weighs_short_and_over_by_the_level() -> None:
    assert metrics.pinball(np.array([10.0, 2.0]), np.array([6.0, 6.0]), 0.9).tolist() == pytest.approx(
        [3.6, 0.4]
    )


def test_pinball_loss_is_least_at_the_quantile() -> None:
    units = np.arange(1.0, 101.0)
    losses = [float(np.mean(metrics.pinball(units, np.full(100, q), 0.9))) for q in units]
    assert units[int(np.argmin(losses))] == 90


def test_scaled_pinball_averages_levels_and_divides_by_the_scale() -> None:
    quantiles = np.array([[2.0, 4.0, 8.0]])
    # 2 * (0.1 * 4, 0.5 * 2, 0.1 * 2) / 2 = 0.4, 1, 0.2
    loss = metrics.scaled_pinball(np.array([6.0]), quantiles, (0.1, 0.5, 0.9), np.array([2.0]))
    assert loss.tolist() == pytest.approx([1.6 / 3])


def test_coverage_counts_the_borders() -> None:
    low, high = np.array([10.0, 1.0, 1.0, 7.0]), np.array([12.0, 2.0, 4.0, 9.0])
    assert metrics.coverage(ACTUAL, low, high) == 0.5


def test_calibration_gap_is_zero_for_the_true_quantiles_of_counts() -> None:
    coin = np.array([0.0] * 50 + [1.0] * 50)
    right = np.repeat([[0.0, 0.0, 1.0]], 100, axis=0)
    assert metrics.calibration_gap(coin, right, (0.1, 0.5, 0.9)) == 0.0


def test_calibration_gap_is_that_of_the_worst_level() -> None:
    coin = np.array([0.0] * 50 + [1.0] * 50)
    low = np.repeat([[0.0, 0.0, 0.5]], 100, axis=0)  # half are above the 90 % quantile
    high = np.repeat([[0.5, 1.0, 1.0]], 100, axis=0)  # half are below the 10 % quantile
    assert metrics.calibration_gap(coin, low, (0.1, 0.5, 0.9)) == pytest.approx(0.4)
    assert metrics.calibration_gap(coin, high, (0.1, 0.5, 0.9)) == pytest.approx(0.4)


def test_the_ranked_probability_score_by_the_definition() -> None:
    """Every unit's probability is compared with what came; the sum runs over all whole units."""
    row = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 9.0, 11.0, 15.0])
    mass = pmf(row)
    for actual in (0, 3, 40):
        squares = 0.0
        for k in range(max(len(mass), actual + 1)):
            below = float(sum(mass[: k + 1]))
            squares += (below - (1.0 if actual <= k else 0.0)) ** 2
        assert metrics.ranked_probability_score(float(actual), row) == pytest.approx(squares)


def test_a_sure_forecast_is_scored_by_its_distance() -> None:
    assert metrics.ranked_probability_score(4.0, np.full(8, 4.0)) == 0.0
    assert metrics.ranked_probability_score(6.0, np.full(8, 4.0)) == pytest.approx(2.0)
