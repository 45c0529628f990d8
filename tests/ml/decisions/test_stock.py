"""Stock: textbook answers, and brute force over every possible stock."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import nbinom, norm
from scipy.stats import poisson as poisson_law

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.stock import expected_profit, newsvendor, newsvendor_normal, plan_stock, profit
from ml.distribution import LEVELS
from tests.ml.decisions.newsvendor import economics, poisson, worst_mean_by_sorting

probabilities = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=40).map(np.array)
cents = st.integers(1, 10_000)


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


@settings(deadline=None)
@given(probabilities, cents, cents, st.integers(2, 9))
def test_units_scale_through(mass: np.ndarray, underage: int, overage: int, factor: int) -> None:
    """Demand in pieces instead of boxes: stock and cost grow by the pieces in a box."""
    pieces = np.zeros(factor * (len(mass) - 1) + 1)
    pieces[::factor] = mass
    stock, cost = newsvendor(Demand(mass), underage, overage)
    found = newsvendor(Demand(pieces), underage, overage)
    assert found[0] == factor * stock
    assert found[1] == pytest.approx(factor * cost)


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


def test_the_textbook_normal_newsvendor() -> None:
    """Snyder and Shen, example 4.3, as stockpyl computes it: h = 2, p = 18, mean 120, deviation 10."""
    stock, cost = newsvendor_normal(120, 10, 18, 2)
    assert stock == pytest.approx(norm.ppf(0.9, 120, 10), abs=1e-9)
    assert stock == pytest.approx(132.8155, abs=5e-5)
    by_integral = quad(
        lambda y: norm.pdf(y, 120, 10) * (18 * max(y - stock, 0) + 2 * max(stock - y, 0)),
        40,
        200,
        points=[stock],
    )
    assert cost == pytest.approx(by_integral[0], abs=1e-6)
    assert cost == pytest.approx(35.0997, abs=5e-5)


@settings(deadline=None)
@given(
    st.lists(st.floats(0.001, 1.0), min_size=2, max_size=40).map(np.array),
    st.integers(1, 12),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([1.0, 0.3]),
)
def test_no_other_order_in_packs_is_worth_more(
    mass: np.ndarray, pack: int, minimum: int, held: int, share: float
) -> None:
    worked = economics(
        pack_units=pack, minimum_order_units=minimum, on_hand_units=held, goodwill_cents=50, cvar_share=share
    )
    demand = Demand(mass)
    plan = plan_stock(demand, worked)
    allowed = [0, *(k * pack for k in range(1, 80) if k * pack >= minimum)]
    assert plan.order_units in allowed
    worth = {
        order: worst_mean_by_sorting(demand.probability.tolist(), held + order, worked) for order in allowed
    }
    assert worth[plan.order_units] == pytest.approx(max(worth.values()), rel=1e-9, abs=1e-6)


def test_what_kept_the_order_from_the_best_stock_is_named() -> None:
    assert plan_stock(poisson(50), economics()).binding == ()
    assert plan_stock(poisson(50), economics(pack_units=40)).binding == ("pack_size",)
    assert plan_stock(poisson(5), economics(minimum_order_units=200)).binding == ("minimum_order",)
    assert plan_stock(poisson(5), economics(minimum_order_units=7)).binding == ("minimum_order",)
    held = plan_stock(poisson(5), economics(on_hand_units=90))
    assert held.binding == ("stock_already_above_recommendation",)


@pytest.mark.parametrize("stock", [0, 3, 7.5, 40, 500])
def test_expected_profit_at_any_stock_is_the_sum_over_outcomes(stock: float) -> None:
    demand, worked = poisson(9), economics(goodwill_cents=70)
    by_hand = demand.expected(profit(demand.units, stock, worked))
    assert expected_profit(demand, np.array(stock), worked) == pytest.approx(by_hand)


@settings(deadline=None)
@given(probabilities, st.floats(0.0, 1.0), st.integers(1, 999), st.integers(0, 500))
def test_certainty_never_lowers_the_expected_profit(
    mass: np.ndarray, certainty: float, cost: int, goodwill: int
) -> None:
    """A part of the probability moves to the whole units around the mean, so that the mean stays."""
    worked = economics(cost_cents=cost, salvage_cents=0, goodwill_cents=goodwill)
    vague = Demand(mass)
    below = int(vague.mean)
    sure = np.zeros(len(mass) + 1)
    sure[below], sure[below + 1] = 1 - (vague.mean - below), vague.mean - below
    clear = Demand((1 - certainty) * np.append(vague.probability, 0.0) + certainty * sure)
    profits = [plan_stock(demand, worked).expected_profit_cents for demand in (vague, clear)]
    assert profits[1] >= profits[0] - 1e-6 * abs(profits[0]) - 1e-6


@settings(deadline=None)
@given(probabilities, st.integers(1, 999), st.integers(2, 50))
def test_the_currency_changes_money_and_not_the_order(mass: np.ndarray, cost: int, factor: int) -> None:
    here = economics(cost_cents=cost, salvage_cents=0, holding_cents=3)
    there = Economics.of(
        {
            "price_cents": 1000 * factor,
            "cost_cents": cost * factor,
            "salvage_cents": 0,
            "holding_cents": 3 * factor,
        },
        None,
    )
    plan, scaled = plan_stock(Demand(mass), here), plan_stock(Demand(mass), there)
    assert scaled.order_units == plan.order_units
    assert scaled.expected_profit_cents == pytest.approx(factor * plan.expected_profit_cents)


PROCESSES = {
    "poisson 3": poisson_law(3),
    "poisson 60": poisson_law(60),
    "negative binomial 2": nbinom(1.0, 1 / 3),
    "negative binomial 20": nbinom(2.0, 2 / 22),
    "negative binomial 300": nbinom(4.0, 4 / 304),
    "sparse": nbinom(0.3, 0.3 / 0.9),
}


@pytest.mark.parametrize("law", PROCESSES)
@pytest.mark.parametrize("ratio", [0.5, 0.7, 0.9, 0.97])
def test_on_a_known_process_eight_quantiles_lose_at_most_a_percent(law: str, ratio: float) -> None:
    """Expected profit under the law itself of the stock that its eight published quantiles lead to.

    Where the best profit is almost nothing, a fiftieth of a unit's price may be lost.
    """
    truth, units = PROCESSES[law], np.arange(20_000)
    mass = truth.pmf(units)

    def earns(stock: float) -> float:
        return float(mass @ (ratio * np.minimum(units, stock) - (1 - ratio) * np.maximum(stock - units, 0)))

    ours, _ = newsvendor(Demand.from_quantiles(truth.ppf([LEVELS]))[0], ratio, 1 - ratio)
    best = earns(float(truth.ppf(ratio)))
    assert earns(ours) >= best - max(0.01 * best, 0.02)
