"""One budget over concave returns: the worked answer, and the conditions of an optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.decisions.water_filling import optimum, water_fill
from ml.errors import ImpossibleEconomics

SIZE, HALF, MARGIN = np.array([100.0, 50, 20, 5]), np.array([10.0, 20, 5, 1]), np.array([1.0, 1.2, 0.8, 2])


def slope(spend: np.ndarray) -> np.ndarray:
    """Of margin x size x log(1 + x / half)."""
    marginal: np.ndarray = MARGIN * SIZE / (HALF + spend)
    return marginal


def test_the_worked_answer_of_logarithmic_returns() -> None:
    """With all spends inside: sum(m a) / multiplier - sum(k) = budget, so x_i = m_i a_i / multiplier - k_i."""
    spend, multiplier = water_fill(slope, np.zeros(4), np.full(4, 100.0), 100.0)
    by_hand = float((MARGIN * SIZE).sum() / (100 + HALF.sum()))
    assert multiplier == pytest.approx(by_hand, abs=1e-6)
    assert multiplier == pytest.approx(1.36765, abs=5e-6)
    assert spend == pytest.approx(MARGIN * SIZE / by_hand - HALF, abs=1e-6)
    assert spend == pytest.approx([63.118, 23.871, 6.699, 6.312], abs=5e-4)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.0, 60.0), st.floats(60.0, 500.0), st.floats(0.1, 0.9))
def test_inside_the_bounds_all_returns_are_equal(low: float, high: float, share: float) -> None:
    least, most = np.full(4, low / 10), np.full(4, high)
    budget = float(least.sum() + share * (most.sum() - least.sum()))
    spend, multiplier = water_fill(slope, least, most, budget)
    assert spend.sum() == pytest.approx(budget)
    at, tight = slope(spend), 1e-6
    inside = (spend > least + tight) & (spend < most - tight)
    assert at[inside] == pytest.approx(np.full(int(inside.sum()), multiplier), rel=1e-6)
    assert np.all(at[spend >= most - tight] >= multiplier * (1 - 1e-6))
    assert np.all(at[spend <= least + tight] <= multiplier * (1 + 1e-6))


def test_a_flat_return_shares_the_rest_of_the_budget() -> None:
    spend, multiplier = water_fill(lambda x: 3.0 - 0.0 * x, np.zeros(2), np.full(2, 10.0), 7.0)
    assert spend.sum() == pytest.approx(7.0)
    assert multiplier == pytest.approx(3.0)


def test_money_that_earns_nothing_stays() -> None:
    spend, multiplier = water_fill(lambda x: 5.0 - x, np.zeros(2), np.full(2, 100.0), 1_000.0)
    assert spend == pytest.approx([5.0, 5.0])
    assert multiplier == 0.0


def test_a_budget_below_the_least_spends_is_refused() -> None:
    with pytest.raises(ImpossibleEconomics, match="add up to 40 cents, above the budget of 39"):
        water_fill(slope, np.full(4, 10.0), np.full(4, 20.0), 39.0)


def test_an_optimum_is_on_the_bound_that_holds_it() -> None:
    low, high = np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0])
    zero_at = np.array([0.5, 1.5, 9.0])
    assert optimum(lambda x: zero_at - x, low, high).tolist() == [1.0, pytest.approx(1.5), 2.0]
