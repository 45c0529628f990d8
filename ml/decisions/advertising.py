"""How much to spend on advertising: the optimum within one step of what is spent now."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.stock import profit

STEP_SHARE = 0.2
"""Largest change of a budget in one month, either way: beyond it an elasticity is a guess."""

_HALVINGS = 60

Binding = Literal["step_up", "step_down", "no_spend", "none"]


@dataclass(frozen=True)
class AdPlan:
    """Recommended advertising of a month in cents.

    `low_cents` and `high_cents` are the recommendations at an elasticity one standard error lower and
    higher; where they lie on both sides of the present budget, the direction is not known yet.
    """

    spend_cents: int
    change_share: float
    low_cents: int
    high_cents: int
    expected_profit_change_cents: float
    binding: Binding


def plan_advertising(
    demand: Demand, available_units: int, economics: Economics, step: float = STEP_SHARE
) -> AdPlan:
    """The spend x that maximises expected profit less x, within the step.

    Demand answers with constant elasticity, Y (x / x0)^e (Dorfman and Steiner 1954), and profit is that of
    the given stock, so a product that will sell out gets no money for demand it cannot serve. Keeping the
    stock fixed loses nothing to first order, because it is the best for the present demand.

    Args:
        demand: Of the months that the stock covers.
        available_units: Stock after the order.
        economics: Margin, present spend and elasticity.
        step: Largest change as a share of the present spend.
    """
    now = economics.ad_spend_cents
    if now == 0:  # an elasticity is a response to a change; from nothing there is no base
        return AdPlan(0, 0.0, 0, 0, 0.0, "no_spend")
    middle, error = economics.ad_elasticity, economics.ad_elasticity_error
    low, best, high = (
        _best_ratio(demand, available_units, economics, min(max(e, 0.0), 0.99), step)
        for e in (middle - error, middle, middle + error)
    )
    gain = _gain(demand, available_units, economics, middle, best) - _gain(
        demand, available_units, economics, middle, 1.0
    )
    binding: Binding = "step_up" if best >= 1 + step else "step_down" if best <= 1 - step else "none"
    return AdPlan(round(best * now), best - 1, round(low * now), round(high * now), gain, binding)


def _best_ratio(
    demand: Demand, available: int, economics: Economics, elasticity: float, step: float
) -> float:
    """New spend over present spend: bisection on the slope, which only falls (elasticity below 1)."""
    low, high = 1 - step, 1 + step
    if _slope(demand, available, economics, elasticity, high) >= 0:
        return high
    if _slope(demand, available, economics, elasticity, low) <= 0:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(demand, available, economics, elasticity, middle) > 0:
            low = middle
        else:
            high = middle
    return low


def _slope(demand: Demand, available: int, economics: Economics, elasticity: float, ratio: float) -> float:
    """Derivative of `_gain` by the ratio.

    A lifted unit that the stock serves earns its margin and saves its overage; one that it does not serve
    costs goodwill. The sum falls with the ratio, so the slope changes its sign once.
    """
    served = demand.expected(np.where(demand.units * ratio**elasticity < available, demand.units, 0.0))
    earned = (economics.margin_cents + economics.overage_cents) * served
    missed = economics.goodwill_cents * (demand.mean - served)
    lift: float = elasticity * ratio ** (elasticity - 1)
    return (earned - missed) * lift - _spend(economics)


def _gain(demand: Demand, available: int, economics: Economics, elasticity: float, ratio: float) -> float:
    lifted = demand.units * ratio**elasticity
    return demand.expected(profit(lifted, available, economics)) - _spend(economics) * ratio


def _spend(economics: Economics) -> int:
    """Present advertising over all months that the stock covers."""
    return economics.ad_spend_cents * economics.cover_months
