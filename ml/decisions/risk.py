"""How much a decision can cost against what it can earn, in three classes, and how much of it to take."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand, worst_mean
from ml.decisions.economics import Defaults
from ml.decisions.stock import mismatch_cost, newsvendor

Floats = NDArray[np.float64]

WORST_SHARE = 0.1
CUT_SHARES = (1 / 3, 2 / 3)
LEVELS = ("Low", "Medium", "High")

AVERSION = 1.0
"""Variance that one unit of earning power is worth: a change whose variance is its mean times the earning
power of the product is taken whole, one with more is taken in part."""

Level = Literal["Low", "Medium", "High"]


def cost_at_risk(demand: Demand, stock: float, underage: float, overage: float) -> float:
    """Mean mismatch cost of the worst tenth of outcomes over the margin of the expected demand and one unit.

    CVaR (Rockafellar and Uryasev 2002) over earning power, so it has no unit and no currency; the one unit
    keeps products that hardly sell from dividing by nothing.
    """
    cost = mismatch_cost(demand.units, stock, underage, overage)
    return worst_mean(cost, demand.probability, WORST_SHARE) / earning_power(demand, underage)


def earning_power(demand: Demand, underage: float) -> float:
    """The margin of the expected demand and one unit."""
    return underage * (demand.mean + 1)


def level(at_risk: float, cuts: Sequence[float]) -> Level:
    """The class of a cost at risk under a model's frozen cuts; a value on a cut is in the lower class."""
    return "Low" if at_risk <= cuts[0] else "Medium" if at_risk <= cuts[1] else "High"


def take_share(change: Floats, probability: Floats, power: float, aversion: float = AVERSION) -> float:
    """How much of a recommended change to take: mean over (aversion / power) times variance, within 0 and 1.

    The largest a of E[a d] - (aversion / power) Var[a d] / 2 (Markowitz 1952). Because the aversion is per
    earning power, the share has no currency; at the same mean it rises as the outcome gets more certain.

    Args:
        change: (outcomes,) profit with the change less profit without it, in cents.
        probability: (outcomes,).
        power: `earning_power` of the product in cents.
        aversion: 0 takes every change that pays.
    """
    mean = float(probability @ change)
    variance = float(probability @ (change - mean) ** 2)
    if mean <= 0:
        return 0.0
    return min(mean * power / (aversion * variance), 1.0) if aversion * variance > 0 else 1.0


def risk_cuts(quantiles: Floats, defaults: Defaults | None = None) -> tuple[float, float]:
    """The cuts that part the products of a training portfolio in thirds, under the default economics.

    Args:
        quantiles: (n, 8) forecast units of every product at `ml.distribution.LEVELS`.
        defaults: Shares that stand for cost and salvage; the price cancels out.
    """
    shares = defaults or Defaults()
    underage = 1 - shares.cost_share_of_price
    overage = shares.cost_share_of_price * (1 - shares.salvage_share_of_cost + shares.holding_share_of_cost)
    risks = [_at_best_stock(demand, underage, overage) for demand in Demand.from_quantiles(quantiles)]
    low, high = np.quantile(risks, CUT_SHARES)
    return round(float(low), 6), round(float(high), 6)


def _at_best_stock(demand: Demand, underage: float, overage: float) -> float:
    stock, _ = newsvendor(demand, underage, overage)
    return cost_at_risk(demand, stock, underage, overage)
