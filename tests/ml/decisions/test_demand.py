"""Demand as a grid of probabilities: exact for small numbers, close for large ones."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ml.decisions.demand import MOST_POINTS, Demand, outcome_quantile, worst_mean
from ml.distribution import LEVELS

QUANTILES = [0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 18.0, 26.0]


def test_a_mass_is_taken_as_it_is_and_scaled_to_one() -> None:
    demand = Demand.of({"probability_mass": [1.0, 2.0, 1.0]})
    assert demand.probability.tolist() == [0.25, 0.5, 0.25]
    assert demand.mean == 1.0


def named(factor: int) -> dict[str, float]:
    return {f"{level:.2f}": factor * units for level, units in zip(LEVELS, QUANTILES, strict=True)}


def test_quantiles_stand_in_when_there_is_no_mass() -> None:
    demand = Demand.of({"probability_mass": None, "quantiles": named(1)})
    assert demand.step == 1
    for level, units in zip(LEVELS, QUANTILES, strict=True):
        assert abs(demand.quantile(level) - units) <= 1


def test_many_forecasts_are_read_as_one_by_one() -> None:
    """A mass, quantiles, and quantiles too large for a grid of single units."""
    mass: Mapping[str, Any] = {"probability_mass": [0.25, 0.5, 0.25]}
    small, large = ({"quantiles": named(k)} for k in (1, 100_000))
    together = Demand.of_all([large, mass, small, mass, large])
    for demand, forecast in zip(together, [large, mass, small, mass, large], strict=True):
        alone = Demand.of(forecast)
        assert (demand.step, demand.probability.tobytes()) == (alone.step, alone.probability.tobytes())
    assert [demand.step == 1 for demand in together] == [False, True, True, True, False]


def test_a_forecast_without_mass_and_quantiles_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no quantile at 0\.05"):
        Demand.of({"probability_mass": None, "quantiles": {}})


def test_probabilities_that_are_none_are_refused() -> None:
    for broken in ([0.0, 0.0], [0.5, -0.5, 1.0], [math.nan, 1.0]):
        with pytest.raises(ValueError, match="probabilities must be"):
            Demand(np.array(broken))


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000])
def test_large_numbers_keep_their_quantiles_on_a_grid_of_bounded_size(factor: int) -> None:
    demand = Demand.from_quantiles(factor * np.array([QUANTILES]))[0]
    assert len(demand.probability) <= MOST_POINTS
    assert abs(demand.quantile(0.9) - 15 * factor) <= demand.step
    assert demand.step <= max(1, 90 * factor / MOST_POINTS)


def test_a_quantile_is_the_smallest_units_that_reach_the_share() -> None:
    demand = Demand(np.array([0.1, 0.2, 0.3, 0.4]))
    assert [demand.quantile(share) for share in (0.0, 0.1, 0.11, 0.3, 0.6, 0.61, 1.0)] == [
        0,
        0,
        1,
        1,
        2,
        3,
        3,
    ]


def test_months_add_up_as_every_combination_of_outcomes() -> None:
    month = np.array([0.5, 0.2, 0.2, 0.1])
    expected = np.zeros(10)
    for outcome in itertools.product(range(4), repeat=3):
        expected[sum(outcome)] += math.prod(month[units] for units in outcome)
    assert Demand(month).over(3).probability == pytest.approx(expected, abs=2e-6)


def test_the_quantile_of_a_sum_is_below_the_sum_of_quantiles() -> None:
    month = Demand.from_quantiles(np.array([QUANTILES]))[0]
    assert month.over(6).quantile(0.9) < 6 * month.quantile(0.9)
    assert month.over(6).mean == pytest.approx(6 * month.mean, rel=1e-3)


def test_the_worst_mean_counts_the_outcome_at_the_border_in_part() -> None:
    """Worst 20 % of costs 10 (p .1), 4 (p .5), 0 (p .4): (.1 x 10 + .1 x 4) / .2 = 7."""
    assert worst_mean(np.array([0.0, 10.0, 4.0]), np.array([0.4, 0.1, 0.5]), 0.2) == pytest.approx(7.0)


def test_the_quantile_of_an_outcome_follows_the_outcome_not_the_units() -> None:
    values, probability = np.array([-5.0, 20.0, 3.0]), np.array([0.2, 0.3, 0.5])
    assert [outcome_quantile(values, probability, share) for share in (0.2, 0.5, 0.9)] == [-5.0, 3.0, 20.0]
