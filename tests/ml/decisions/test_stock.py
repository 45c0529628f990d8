"""Stock: textbook answers, and brute force over every possible stock."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.stock import newsvendor, plan_stock, profit

probabilities = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=40).map(np.array)
cents = st.integers(1, 10_000)


def poisson(mean: float) -> Demand:
    log_mass = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(200)]
    return Demand(np.exp(log_mass))


def economics(**given: float) -> Economics:
    return Economics.of({"price_cents": 1000, **given}, None)


def test_the_textbook_poisson_newsvendor() -> None:
    """Snyder and Shen, Fundamentals of Supply Chain Theory, as stockpyl computes it."""
    stock, cost = newsvendor(poisson(50), 0.70, 0.18)
    assert stock == 56
    assert cost == pytest.approx(1.797235, abs=1e-6)


def test_the_cost_is_the_pinball_loss_times_both_costs() -> None:
    demand, underage, overage = poisson(20), 3.0, 1.0
    stock, cost = newsvendor(demand, underage, overage)
    ratio = underage / (underage + overage)
    pinball = sum(
        p * (ratio * (y - stock) if y >= stock else (1 - ratio) * (stock - y))
        for y, p in enumerate(demand.probability.tolist())
    )
    assert cost == pytest.approx((underage + overage) * pinball)


@settings(deadline=None)
@given(probabilities, cents, cents)
def test_no_other_stock_is_cheaper(mass: np.ndarray, underage: int, overage: int) -> None:
    demand = Demand(mass)
    _, cost = newsvendor(demand, underage, overage)
    for stock in range(len(mass) + 1):
        other = sum(
            p * (underage * max(y - stock, 0) + overage * max(stock - y, 0))
            for y, p in enumerate(demand.probability.tolist())
        )
        assert cost <= other * (1 + 1e-9) + 1e-9


@settings(deadline=None)
@given(probabilities, st.integers(2, 5_000), st.integers(1, 5_000))
def test_a_higher_price_never_orders_less_and_a_higher_cost_never_more(
    mass: np.ndarray, cost: int, more: int
) -> None:
    def stock(price_cents: int, cost_cents: int) -> int:
        given = {"price_cents": price_cents, "cost_cents": cost_cents, "salvage_cents": 0, "holding_cents": 1}
        return plan_stock(Demand(mass), Economics.of(given, None)).stock_units

    assert stock(cost + 1 + more, cost) >= stock(cost + 1, cost)
    assert stock(cost + more + 1, cost + more) <= stock(cost + more + 1, cost)


def test_profit_is_what_the_till_says() -> None:
    """Ten in stock, seven asked: 7 x 1000 + 3 x 200 - 3 x 50 - 10 x 600 = 1,450; twelve asked: two missed."""
    worked = economics(cost_cents=600, salvage_cents=200, holding_cents=50, goodwill_cents=70)
    earned = profit(np.array([7.0, 12.0]), 10, worked)
    assert earned.tolist() == [1450.0, 10 * 1000 - 10 * 600 - 2 * 70]


def test_what_is_there_or_on_the_way_is_not_ordered_again() -> None:
    plan = plan_stock(poisson(50), economics(on_hand_units=20, on_order_units=10))
    assert plan.order_units == plan.stock_units - 30
    assert plan.available_units == plan.stock_units


def test_nothing_is_sent_back_and_the_surplus_costs() -> None:
    full = plan_stock(poisson(50), economics(on_hand_units=500))
    assert (full.order_units, full.available_units) == (0, 500)
    assert full.expected_profit_cents < plan_stock(poisson(50), economics()).expected_profit_cents
    assert full.sellout_probability < 1e-9


def test_a_product_that_nobody_wants_is_not_ordered() -> None:
    plan = plan_stock(Demand(np.array([1.0])), economics())
    assert (plan.order_units, plan.expected_profit_cents) == (0, 0.0)
