"""How much to have: the newsvendor over the whole distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StockPlan:
    """Recommended stock for the months an order covers, in units, and what it is expected to earn."""

    stock_units: int
    order_units: int
    available_units: int
    expected_profit_cents: float
    expected_mismatch_cost_cents: float
    sellout_probability: float


def newsvendor(demand: Demand, underage: float, overage: float) -> tuple[int, float]:
    """Best stock and its expected cost: the smallest S with P(Y <= S) >= underage / (underage + overage).

    Exact for discrete demand (Arrow, Harris and Marschak 1951; Zipkin 2000, section 9.2). The expected cost
    is (underage + overage) times the pinball loss at that ratio, the loss that forecasts are judged by.
    """
    stock = demand.quantile(underage / (underage + overage))
    return stock, demand.expected(mismatch_cost(demand.units, stock, underage, overage))


def mismatch_cost(units: Floats, stock: float, underage: float, overage: float) -> Floats:
    """Cost of each demand outcome at a stock: underage (Y - S)+ + overage (S - Y)+."""
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


def plan_stock(demand: Demand, economics: Economics) -> StockPlan:
    """Order up to the newsvendor's stock; what is on hand and on order counts, and nothing is sent back.

    Args:
        demand: Of all months that the order covers.
        economics: Of one unit.
    """
    stock, _ = newsvendor(demand, economics.underage_cents, economics.overage_cents)
    position = economics.on_hand_units + economics.on_order_units
    available = max(stock, position)
    cost = mismatch_cost(demand.units, available, economics.underage_cents, economics.overage_cents)
    return StockPlan(
        stock_units=stock,
        order_units=available - position,
        available_units=available,
        expected_profit_cents=demand.expected(profit(demand.units, available, economics)),
        expected_mismatch_cost_cents=demand.expected(cost),
        sellout_probability=float(demand.probability[demand.units > available].sum()),
    )
