"""Scenarios: quantiles of the money, and a total that knows which products go together."""

import numpy as np
import pytest

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.scenarios import scenarios, total_profit
from ml.dependence import Dependence

ECONOMICS = Economics.of(
    {"price_cents": 1000, "cost_cents": 600, "salvage_cents": 300, "holding_cents": 12}, None
)
DEMAND = Demand(np.full(101, 1.0))


def test_low_and_high_are_outcomes_and_expected_is_their_mean() -> None:
    profit, probability = np.array([50.0, -10.0, 20.0]), np.array([0.2, 0.1, 0.7])
    assert scenarios(profit, probability) == {
        "low": -10.0,
        "expected": pytest.approx(23.0),
        "high": 50.0,
    }


def test_a_total_of_independent_products_spreads_like_a_normal() -> None:
    """Uniform demand 0 to 100 and stock 60: the moments of one product's profit are summed by hand."""
    one = np.array([1000 * min(y, 60) + 288 * max(60 - y, 0) - 600 * 60 for y in range(101)])
    mean, deviation = 40 * one.mean(), np.sqrt(40) * one.std()
    found = total_profit([DEMAND] * 40, ["a"] * 40, [ECONOMICS] * 40, [60] * 40, Dependence())
    assert found["expected"] == pytest.approx(mean, rel=0.005)
    assert found["low"] == pytest.approx(mean - 1.2816 * deviation, abs=0.25 * deviation)
    assert found["high"] == pytest.approx(mean + 1.2816 * deviation, abs=0.25 * deviation)


def test_products_that_go_together_widen_the_total_and_keep_its_mean() -> None:
    apart, together = (
        total_profit([DEMAND] * 40, ["a", "b"] * 20, [ECONOMICS] * 40, [60] * 40, dependence)
        for dependence in (Dependence(), Dependence(shop=0.2, category=0.3))
    )
    assert together["expected"] == pytest.approx(apart["expected"], rel=0.01)
    assert together["high"] - together["low"] > 2 * (apart["high"] - apart["low"])


def test_what_is_there_already_counts_as_stock() -> None:
    held = Economics(**{**ECONOMICS.inputs(), "on_hand_units": 40})  # type: ignore[arg-type]
    from_held = total_profit([DEMAND], ["a"], [held], [20], Dependence())
    assert from_held == total_profit([DEMAND], ["a"], [ECONOMICS], [60], Dependence())
