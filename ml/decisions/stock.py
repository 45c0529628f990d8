"""How much to have: the newsvendor over the whole distribution, in packs and with an eye on bad outcomes."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand, worst_mean
from ml.decisions.economics import Economics

Floats = NDArray[np.float64]

_NORMAL = NormalDist()


@dataclass(frozen=True)
class StockPlan:
    """Recommended stock for the months an order covers, in units, and what it is expected to earn.

    `stock_units` is the best stock without packs and minimum; `available_units` is what the order leads to.
    """

    stock_units: int
    order_units: int
    available_units: int
    expected_profit_cents: float
    expected_mismatch_cost_cents: float
    sellout_probability: float
    binding: tuple[str, ...]


def newsvendor(demand: Demand, underage: float, overage: float) -> tuple[int, float]:
    """Best stock and its expected cost: the smallest S with P(Y <= S) >= underage / (underage + overage).

    Exact for discrete demand (Arrow, Harris and Marschak 1951; Zipkin 2000, section 9.2). The expected cost
    is (underage + overage) times the pinball loss at that ratio, the loss that forecasts are judged by.
    """
    stock = demand.quantile(underage / (underage + overage))
    return stock, demand.expected(mismatch_cost(demand.units, stock, underage, overage))


def newsvendor_normal(mean: float, deviation: float, underage: float, overage: float) -> tuple[float, float]:
    """Best stock and its expected cost under normal demand: mean plus safety stock.

    S = mean + z deviation at the critical ratio, cost (underage + overage) pdf(z) deviation (Snyder and Shen
    2019, section 4.3).
    """
    z = _NORMAL.inv_cdf(underage / (underage + overage))
    return mean + z * deviation, (underage + overage) * _NORMAL.pdf(z) * deviation


def mismatch_cost(units: Floats, stock: Floats | float, underage: float, overage: float) -> Floats:
    """Cost of each demand outcome at its stock: underage (Y - S)+ + overage (S - Y)+."""
    short, left = np.maximum(units - stock, 0.0), np.maximum(stock - units, 0.0)
    cost: Floats = underage * short + overage * left
    return cost


def profit(units: Floats, stock: float, economics: Economics) -> Floats:
    """Profit in cents of each demand outcome: margin times demand, less the cost of the mismatch.

    The same as price x sold + salvage x left - holding x left - goodwill x missed - cost x stock.
    """
    cost = mismatch_cost(units, stock, economics.underage_cents, economics.overage_cents)
    earned: Floats = economics.margin_cents * units - cost
    return earned


def expected_profit(demand: Demand, stock: Floats, economics: Economics) -> Floats:
    """Mean of `profit` at each stock, in cents."""
    sold = demand.expected_sales(stock)
    missed, left = demand.mean - sold, stock - sold
    earned: Floats = (
        economics.margin_cents * sold - economics.goodwill_cents * missed - economics.overage_cents * left
    )
    return earned


def best_stock(demand: Demand, economics: Economics) -> int:
    """The stock with the largest mean profit over the worst `cvar_share` of outcomes.

    Without goodwill profit rises with demand, so it is the quantile at cvar_share times the critical ratio
    (Gotoh and Takano 2007). With goodwill bad outcomes lie on both sides and caution may order more; profit
    at risk is concave in the stock, so bisection on its difference is exact.
    """
    if economics.cvar_share == 1 or economics.goodwill_cents == 0:
        return demand.quantile(economics.cvar_share * economics.critical_ratio)
    low, high = 0, len(demand.probability) - 1
    while low < high:
        middle = (low + high) // 2
        here, more = (_worth(demand, point * demand.step, economics) for point in (middle, middle + 1))
        if more > here:
            low = middle + 1
        else:
            high = middle
    return low * demand.step


def plan_stock(demand: Demand, economics: Economics) -> StockPlan:
    """Order towards the best stock; what is on hand and on order counts, and nothing is sent back.

    Args:
        demand: Of all months that the order covers.
        economics: Of one unit.
    """
    stock = best_stock(demand, economics)
    position = economics.position_units
    order = best_order(demand, stock, position, economics)
    available = position + order
    cost = mismatch_cost(demand.units, available, economics.underage_cents, economics.overage_cents)
    return StockPlan(
        stock_units=stock,
        order_units=order,
        available_units=available,
        expected_profit_cents=demand.expected(profit(demand.units, available, economics)),
        expected_mismatch_cost_cents=demand.expected(cost),
        sellout_probability=float(demand.probability[demand.units > available].sum()),
        binding=_binding(stock, position, order, economics),
    )


def smallest_order(economics: Economics) -> int:
    """The fewest units that can be ordered: the minimum order in whole packs, at least one pack."""
    packs = -(-economics.minimum_order_units // economics.pack_units)
    return max(packs, 1) * economics.pack_units


def best_order(demand: Demand, stock: int, position: int, economics: Economics) -> int:
    """The order that is worth most among none and whole packs from the minimum on; the smallest of equals.

    Its worth is concave in the stock, so only the neighbours of the best stock can win.
    """
    wanted, pack = stock - position, economics.pack_units
    if wanted <= 0:
        return 0
    if wanted % pack == 0 and wanted >= economics.minimum_order_units:
        return wanted
    below, above = wanted // pack * pack, -(-wanted // pack) * pack
    orders = sorted({0, *(max(order, smallest_order(economics)) for order in (below, above))})
    return max(orders, key=lambda order: _worth(demand, position + order, economics))


def _worth(demand: Demand, stock: int, economics: Economics) -> float:
    """Mean profit of the worst `cvar_share` of outcomes, in cents."""
    earned = profit(demand.units, stock, economics)
    if economics.cvar_share == 1:
        return demand.expected(earned)
    return -worst_mean(-earned, demand.probability, economics.cvar_share)


def _binding(stock: int, position: int, order: int, economics: Economics) -> tuple[str, ...]:
    if position > stock:
        return ("stock_already_above_recommendation",)
    if position + order == stock:
        return ()
    least = smallest_order(economics)
    is_minimum = least > economics.pack_units and (order in (0, least)) and stock - position < least
    return ("minimum_order",) if is_minimum else ("pack_size",)
