"""One budget: a linear program's answer, a bisection's answer, and what must hold for any shop."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.portfolio import plan_portfolio, priority_list
from ml.decisions.stock import plan_stock
from ml.errors import ImpossibleEconomics


def economics(price: int = 1000, **given: float) -> Economics:
    return Economics.of({"price_cents": price, **given}, None)


def shop(seed: int, products: int = 12) -> tuple[list[Demand], list[Economics]]:
    random = np.random.default_rng(seed)
    demands, worked = [], []
    for _ in range(products):
        size = int(random.integers(20, 60))
        demands.append(Demand(random.gamma(0.7, 1.0, size) + 1e-3))
        price = int(random.integers(50, 2_000))
        cost = int(price * random.uniform(0.2, 0.9))
        worked.append(
            economics(
                price,
                cost_cents=max(cost, 1),
                goodwill_cents=int(random.integers(0, 100)),
                on_hand_units=int(random.integers(0, 8)),
            )
        )
    return demands, worked


def unit_rewards(demand: Demand, worked: Economics) -> list[float]:
    """Expected profit of each next unit: underage where it is wanted, overage where it is not."""
    unwanted = np.cumsum(demand.probability)[worked.on_hand_units + worked.on_order_units :]
    rewards: list[float] = (worked.underage_cents * (1 - unwanted) - worked.overage_cents * unwanted).tolist()
    return rewards


def linear_program(demands: list[Demand], worked: list[Economics], budget: float) -> float:
    """The largest reward of parts of units that the budget can pay, by a solver."""
    rewards, costs = [], []
    for demand, product in zip(demands, worked, strict=True):
        each = unit_rewards(demand, product)
        rewards += each
        costs += [product.cost_cents] * len(each)
    solved = linprog(-np.array(rewards), np.array([costs]), [budget], bounds=(0, 1))
    return float(-solved.fun)


@pytest.mark.parametrize("instances", [10, pytest.param(200, marks=pytest.mark.soak)])
def test_it_is_within_a_thousandth_of_a_linear_program(instances: int) -> None:
    """Parts of a unit are the program's advantage; with fifty products they hardly matter."""
    for seed in range(instances):
        demands, worked = shop(seed, products=50)
        whole = plan_portfolio(demands, worked, 10**9).spend_cents
        budget = int(whole * np.random.default_rng(seed).uniform(0.2, 1.1))
        plan = plan_portfolio(demands, worked, budget)
        ours, best = (
            float(plan.steps.reward_cents[plan.bought].sum()),
            linear_program(demands, worked, budget),
        )
        assert best * 0.999 <= ours <= best * (1 + 1e-9), seed


def test_the_list_is_the_answer_of_the_lagrangian() -> None:
    """At the multiplier each order is the smallest with F(Q) >= (cu - multiplier c) / (cu + co)."""
    for seed in range(20):
        demands, worked = shop(seed)
        budget = plan_portfolio(demands, worked, 10**9).spend_cents // 2
        low, high = 0.0, 100.0
        for _ in range(100):
            middle = (low + high) / 2
            if lagrangian_spend(demands, worked, middle) > budget:
                low = middle
            else:
                high = middle
        plan = plan_portfolio(demands, worked, budget)
        assert plan.multiplier == pytest.approx(high, rel=1e-6)
        least, most = (lagrangian_orders(demands, worked, at) for at in (high * (1 + 1e-9), low * (1 - 1e-9)))
        assert all(a <= order for a, order in zip(least, plan.order_units.tolist(), strict=True))
        assert sum(most) >= sum(least)


def lagrangian_orders(demands: list[Demand], worked: list[Economics], multiplier: float) -> list[int]:
    return [
        sum(reward > multiplier * product.cost_cents for reward in unit_rewards(demand, product))
        for demand, product in zip(demands, worked, strict=True)
    ]


def lagrangian_spend(demands: list[Demand], worked: list[Economics], multiplier: float) -> int:
    orders = lagrangian_orders(demands, worked, multiplier)
    return sum(order * product.cost_cents for order, product in zip(orders, worked, strict=True))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 60_000))
def test_the_budget_is_never_exceeded_and_orders_are_what_the_list_says(seed: int, budget: int) -> None:
    demands, worked = shop(seed, products=6)
    plan = plan_portfolio(demands, worked, budget)
    assert plan.spend_cents <= budget
    costs = np.array([product.cost_cents for product in worked])
    assert int(plan.order_units @ costs) == plan.spend_cents


def test_with_money_for_all_each_product_gets_what_it_would_alone() -> None:
    demands, worked = shop(5)
    plan = plan_portfolio(demands, worked, 10**9)
    alone = [plan_stock(demand, product) for demand, product in zip(demands, worked, strict=True)]
    assert plan.order_units.tolist() == [stock.order_units for stock in alone]
    assert plan.multiplier == 0.0
    assert plan.expected_profit_cents == pytest.approx(sum(stock.expected_profit_cents for stock in alone))


def test_its_value_is_concave_in_the_budget() -> None:
    """Exactly so where every unit costs the same; whole units of different costs only nearly."""
    demands, _ = shop(3)
    worked = [economics(price, cost_cents=100) for price in range(150, 150 + 70 * len(demands), 70)]
    values = [plan_portfolio(demands, worked, 100 * k).expected_profit_cents for k in range(120)]
    gains = np.diff(values)
    assert np.all(gains >= -1e-6)
    assert np.all(np.diff(gains) <= 1e-6)


def test_next_units_come_by_falling_reward_and_a_product_keeps_its_order() -> None:
    demands, worked = shop(8)
    steps = priority_list(demands, worked)
    assert np.all(np.diff(steps.reward_per_cent) <= 1e-12)
    for product, (demand, numbers) in enumerate(zip(demands, worked, strict=True)):
        rewards = steps.reward_cents[steps.product == product]
        assert rewards == pytest.approx(unit_rewards(demand, numbers)[: len(rewards)], abs=1e-6)


def test_a_product_without_demand_changes_nothing_elsewhere() -> None:
    demands, worked = shop(4)
    budget = plan_portfolio(demands, worked, 10**9).spend_cents // 3
    before = plan_portfolio(demands, worked, budget)
    after = plan_portfolio([*demands, Demand(np.array([1.0]))], [*worked, economics()], budget)
    assert after.order_units.tolist() == [*before.order_units.tolist(), 0]
    assert after.multiplier == before.multiplier


def test_the_currency_changes_nothing_but_money() -> None:
    demands, worked = shop(6)
    scaled = [times(product, 7) for product in worked]
    budget = plan_portfolio(demands, worked, 10**9).spend_cents // 3
    here, there = plan_portfolio(demands, worked, budget), plan_portfolio(demands, scaled, 7 * budget)
    assert there.order_units.tolist() == here.order_units.tolist()
    assert there.multiplier == pytest.approx(here.multiplier)


def times(product: Economics, factor: int) -> Economics:
    money = (
        "price_cents",
        "cost_cents",
        "salvage_cents",
        "holding_cents",
        "goodwill_cents",
        "ad_spend_cents",
    )
    inputs: dict[str, Any] = product.inputs()
    return Economics(**inputs | {name: factor * inputs[name] for name in money})


def test_a_smallest_order_is_bought_whole_or_not_at_all() -> None:
    demand = Demand(np.full(41, 1.0))
    big = economics(1000, cost_cents=400, minimum_order_units=20, pack_units=5)
    small = economics(1000, cost_cents=450)
    orders = {
        budget: plan_portfolio([demand, demand], [big, small], budget).order_units.tolist()
        for budget in (4_000, 8_000, 30_000)
    }
    assert orders[4_000] == [0, 8]
    assert orders[30_000][0] >= 20
    assert all(order[0] == 0 or order[0] >= 20 for order in orders.values())


def test_a_long_order_is_taken_in_bounded_steps_and_loses_nothing() -> None:
    random = np.random.default_rng(1)
    mass = np.bincount(random.poisson(3_000, 100_000)).astype(float)
    plan = plan_portfolio([Demand(mass)], [economics()], 10**9)
    assert len(plan.steps.units) <= 201
    assert plan.order_units[0] == plan_stock(Demand(mass), economics()).order_units


def test_a_negative_budget_is_refused_and_none_buys_nothing() -> None:
    demands, worked = shop(1)
    with pytest.raises(ImpossibleEconomics, match="budget_cents is -1"):
        plan_portfolio(demands, worked, -1)
    assert plan_portfolio(demands, worked, 0).order_units.sum() == 0
    assert plan_portfolio([], [], 100).spend_cents == 0


def test_an_order_beyond_all_money_is_not_bought() -> None:
    """A pack of 10^12 units at 10^12 cents each: its cost is beyond 64-bit integers."""
    huge = economics(
        10**12, cost_cents=10**12 - 1, salvage_cents=10**12 - 1, holding_cents=1, pack_units=10**12
    )
    eager = Economics(**huge.inputs() | {"goodwill_cents": 10**12, "price_cents": 10**12})  # type: ignore[arg-type]
    plan = plan_portfolio([Demand(np.full(4_000, 1.0))], [eager], 10**12)
    assert (plan.spend_cents, plan.order_units.tolist()) == (0, [0])
    assert plan.steps.cost_cents.tolist() == [10**12 * float(10**12 - 1)]
