"""One budget for the orders of many products: a priority list of next units by reward per cent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.stock import best_order, best_stock, expected_profit, smallest_order
from ml.errors import ImpossibleEconomics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_STEPS = 200
"""Longer orders are taken in steps of more than one pack, at most this many a product."""

_NO_STEPS = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


@dataclass(frozen=True, eq=False)
class PriorityList:
    """Next units to buy, most reward per cent first; each array is (m,).

    Attributes:
        product: Position of the product.
        units: Units of this step: a pack, the smallest order that the supplier takes, or several packs.
        cost_cents: What they cost to buy, whole cents.
        reward_cents: Expected profit that they add.
    """

    product: Ints
    units: Ints
    cost_cents: Floats
    reward_cents: Floats

    @property
    def reward_per_cent(self) -> Floats:
        """Expected profit for one cent of budget."""
        rate: Floats = self.reward_cents / np.maximum(self.cost_cents, 1.0)
        return rate


@dataclass(frozen=True, eq=False)
class PortfolioPlan:
    """Orders under a budget.

    Attributes:
        order_units: (n,) one per product.
        spend_cents: What they cost, at most the budget.
        expected_profit_cents: Of all products with these orders.
        multiplier: Expected profit that one more cent of budget would add, 0 where the budget is enough: the
            Lagrange multiplier of Hadley and Whitin (1963).
        steps: Every worthwhile step, bought or not.
        bought: (m,) which steps are in the orders.
    """

    order_units: Ints
    spend_cents: int
    expected_profit_cents: float
    multiplier: float
    steps: PriorityList
    bought: NDArray[np.bool_]


def plan_portfolio(
    demands: Sequence[Demand], economics: Sequence[Economics], budget_cents: int
) -> PortfolioPlan:
    """The orders with the largest expected profit that the budget buys.

    Expected profit is concave in each stock, so taking steps by falling reward per cent solves the Lagrangian
    F_i(Q_i) = (cu_i - multiplier c_i) / (cu_i + co_i) of every product (marginal allocation, Fox 1966). It is
    the optimum up to the first step that the rest of the budget cannot pay; smaller ones fill that rest.
    No product gets more than `plan_stock` would order without a budget.

    Args:
        demands: One per product, of all months that its order covers.
        economics: One per product.
        budget_cents: For all orders together.

    Raises:
        ImpossibleEconomics: The budget is negative.
    """
    if budget_cents < 0:
        raise ImpossibleEconomics(f"budget_cents is {budget_cents}; give 0 or more")
    steps = priority_list(demands, economics)
    bought, multiplier = _buy(steps, budget_cents)
    orders = np.bincount(steps.product[bought], weights=steps.units[bought], minlength=len(demands)).astype(
        np.int64
    )
    without = sum(
        float(expected_profit(demand, np.array(float(product.position_units)), product))
        for demand, product in zip(demands, economics, strict=True)
    )
    return PortfolioPlan(
        order_units=orders,
        spend_cents=int(steps.cost_cents[bought].sum()),
        expected_profit_cents=without + float(steps.reward_cents[bought].sum()),
        multiplier=multiplier,
        steps=steps,
        bought=bought,
    )


def priority_list(demands: Sequence[Demand], economics: Sequence[Economics]) -> PriorityList:
    """All worthwhile steps of all products, most reward per cent first; equals in the order of products."""
    parts = [
        _steps(i, demand, product) for i, (demand, product) in enumerate(zip(demands, economics, strict=True))
    ]
    columns = [np.concatenate(column) for column in zip(_NO_STEPS, *parts, strict=True)]
    listed = PriorityList(*columns)
    rank = np.argsort(-listed.reward_per_cent, kind="stable")
    return PriorityList(*(column[rank] for column in columns))


def _steps(product: int, demand: Demand, economics: Economics) -> tuple[Ints, Ints, Floats, Floats]:
    """The steps of one product up to its best order; reward per cent falls from each to the next."""
    position = economics.position_units
    order = best_order(demand, best_stock(demand, economics), position, economics)
    if order == 0:
        return _NO_STEPS
    stride = economics.pack_units * -(-order // (economics.pack_units * MOST_STEPS))
    reached = np.concatenate(([0], np.arange(smallest_order(economics), order, stride), [order]))
    units = reached[1:] - reached[:-1]
    earned = expected_profit(demand, (position + reached).astype(np.float64), economics)
    # Equal rewards may differ by rounding; the order of a product's steps must not.
    reward = np.minimum.accumulate((earned[1:] - earned[:-1]) / units) * units
    return np.full(len(units), product, np.int64), units, units * float(economics.cost_cents), reward


def _buy(steps: PriorityList, budget: int) -> tuple[NDArray[np.bool_], float]:
    """Which steps the budget buys, and the reward per cent of the first one that it does not."""
    total = np.cumsum(steps.cost_cents)
    affordable = int(np.searchsorted(total, budget, side="right"))
    bought = np.arange(len(total)) < affordable
    if affordable == len(total):
        return bought, 0.0
    left = budget - (float(total[affordable - 1]) if affordable else 0.0)
    cheapest = np.minimum.accumulate(steps.cost_cents[::-1])[::-1]
    passed: set[int] = set()  # a later step of a product cannot come without its earlier ones
    for k in range(affordable, len(total)):
        if cheapest[k] > left:
            break
        product, cost = int(steps.product[k]), float(steps.cost_cents[k])
        if product in passed or cost > left:
            passed.add(product)
            continue
        bought[k], left = True, left - cost
    return bought, max(float(steps.reward_per_cent[affordable]), 0.0)
