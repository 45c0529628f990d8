"""How much to spend on advertising: the optimum within one step of what is spent now, under one budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.response import Response, Responses
from ml.decisions.stock import profit
from ml.decisions.water_filling import Slope, optimum, water_fill

Floats = NDArray[np.float64]

STEP_SHARE = 0.2
"""Largest change of a budget in one month, either way: beyond it an elasticity is a guess."""

Binding = Literal["step_up", "step_down", "no_spend", "budget", "none"]

_AT_BOUND = 1e-9


@dataclass(frozen=True)
class AdPlan:
    """Recommended advertising of a month in cents.

    `low_cents` and `high_cents` are the recommendations at a response one standard error lower and
    higher; where they lie on both sides of the present budget, the direction is not known yet.
    """

    spend_cents: int
    change_share: float
    low_cents: int
    high_cents: int
    expected_profit_change_cents: float
    binding: Binding


def plan_advertising(
    demand: Demand, available_units: int, economics: Economics, responses: Responses, step: float = STEP_SHARE
) -> AdPlan:
    """The spend x that maximises expected profit less x, within the step.

    Demand answers as Y f(x) / f(x0), and profit is that of the given stock, so a product that will sell out
    gets no money for demand it cannot serve. Keeping the stock fixed loses nothing to first order, because
    it is the best for the present demand.

    Args:
        demand: Of the months that the stock covers.
        available_units: Stock after the order.
        economics: Margin and present spend.
        responses: The response curve, and one standard error lower and higher.
        step: Largest change as a share of the present spend.
    """
    now = economics.ad_spend_cents
    if now == 0:  # a response was measured around a spend; from nothing there is no base
        return AdPlan(0, 0.0, 0, 0, 0.0, "no_spend")
    served = _Served([demand], [available_units], [economics])
    low, best, high = (
        float(optimum(served.slope(response), *served.bounds(step))[0])
        for response in (responses.low, responses.middle, responses.high)
    )
    gain = _gain(demand, available_units, economics, responses.middle, best)
    return AdPlan(
        spend_cents=round(best),
        change_share=best / now - 1,
        low_cents=round(low),
        high_cents=round(high),
        expected_profit_change_cents=gain,
        binding=_binding(best / now, step, held_back=False),
    )


@dataclass(frozen=True, eq=False)
class AdBudget:
    """Advertising of a month for many products.

    Attributes:
        spend_cents: (n,) recommended, in fractions of a cent.
        multiplier: What one more cent of budget would earn beyond itself, 0 where the budget is enough.
        binding: (n,) the bound that held each spend.
    """

    spend_cents: Floats
    multiplier: float
    binding: tuple[Binding, ...]


def plan_ad_budget(
    demands: Sequence[Demand],
    available_units: Sequence[int],
    economics: Sequence[Economics],
    response: Response,
    budget_cents: float,
    *,
    step: float = STEP_SHARE,
) -> AdBudget:
    """Spends of a month that maximise expected profit of all products less the spends.

    Inside the bounds every product has the same marginal profit per cent, 1 + multiplier; products that
    their stock cannot serve reach it at a lower spend. Products without a present spend stay at none.

    Args:
        demands: One per product, of the months that its stock covers.
        available_units: Stock after the orders.
        economics: Margins and present spends.
        response: Arrays, one value per product; the reference of products without a spend is not read.
        budget_cents: For a month.
        step: Largest change as a share of each present spend.

    Raises:
        ImpossibleEconomics: Even with the largest cuts the budget is not enough.
    """
    served = _Served(demands, available_units, economics)
    low, high = served.bounds(step)
    spend, multiplier = water_fill(served.slope(response), low, high, budget_cents)
    now = np.maximum(served.now, 1.0)
    held_back = multiplier > 0
    binding = tuple(
        "no_spend" if not present else _binding(ratio, step, held_back=held_back)
        for present, ratio in zip(served.now.tolist(), (spend / now).tolist(), strict=True)
    )
    return AdBudget(spend, multiplier, binding)


class _Served:
    """The outcomes of many products behind each other, to know which part of demand their stock serves."""

    def __init__(
        self, demands: Sequence[Demand], available: Sequence[int], economics: Sequence[Economics]
    ) -> None:
        lengths = np.array([len(demand.probability) for demand in demands], dtype=np.intp)
        self._length, self._start = lengths, np.cumsum(lengths + 1) - lengths - 1
        nothing = np.zeros(1)
        self._partial = np.concatenate([p for demand in demands for p in (nothing, demand.partial_mean)])
        self._step = np.array([demand.step for demand in demands], dtype=np.float64)
        self._mean = np.array([demand.mean for demand in demands])
        self._available = np.array(available, dtype=np.float64)
        self._earned = np.array([float(e.margin_cents + e.overage_cents) for e in economics])
        self._goodwill = np.array([float(e.goodwill_cents) for e in economics])
        self._months = np.array([float(e.cover_months) for e in economics])
        self.now = np.array([float(e.ad_spend_cents) for e in economics])

    def bounds(self, step: float) -> tuple[Floats, Floats]:
        """(n,) least and largest spends."""
        return self.now * (1 - step), self.now * (1 + step)

    def slope(self, response: Response) -> Slope:
        """Marginal profit per cent of monthly spend, net of the cent, for each product."""
        present = response.lift(np.maximum(self.now, 1.0))

        def marginal(spend: Floats) -> Floats:
            factor = response.lift(np.maximum(spend, _AT_BOUND)) / present
            served = self._below(self._available / factor)
            # A lifted unit that stock serves earns its margin and saves its overage, another costs goodwill.
            worth = self._earned * served - self._goodwill * (self._mean - served)
            rise = response.slope(np.maximum(spend, _AT_BOUND)) / present
            return np.where(self.now > 0, rise * worth / self._months, 0.0) - 1.0

        return marginal

    def _below(self, limit: Floats) -> Floats:
        """(n,) E[Y; Y < limit]."""
        points = np.clip(np.ceil(limit / self._step), 0, self._length).astype(np.intp)
        part: Floats = self._partial[self._start + points]
        return part


def _gain(demand: Demand, available: int, economics: Economics, response: Response, spend: float) -> float:
    """Expected profit at a spend less that at the present one, both net of the spend, over all months."""
    factor = lift_factor(response, spend, economics)
    change = profit(demand.units * factor, available, economics) - profit(demand.units, available, economics)
    return demand.expected(change) - (spend - economics.ad_spend_cents) * economics.cover_months


def lift_factor(response: Response, spend: float, economics: Economics) -> float:
    """Demand at a spend over demand at the present one; 1 where nothing is spent now."""
    if economics.ad_spend_cents == 0:
        return 1.0
    at, now = np.array(max(spend, _AT_BOUND)), np.array(float(economics.ad_spend_cents))
    return float(response.lift(at) / response.lift(now))


def _binding(ratio: float, step: float, *, held_back: bool) -> Binding:
    if ratio >= 1 + step - _AT_BOUND:
        return "step_up"
    if ratio <= 1 - step + _AT_BOUND:
        return "step_down"
    return "budget" if held_back else "none"
