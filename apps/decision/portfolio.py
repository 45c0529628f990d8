"""Orders of many products under one budget, as the decision service answers them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from apps.decision.schemas import Numbers, PortfolioRequest
from apps.forecast.schemas import Forecast
from ml.decisions import Defaults, Economics
from ml.decisions.demand import Demand
from ml.decisions.paths import Dependence, over
from ml.decisions.portfolio import PortfolioPlan, plan_portfolio
from ml.decisions.scenarios import total_profit
from ml.errors import ImpossibleEconomics

DEPENDENCE: Final = Dependence(shop=0.05, category=0.05)
"""Between products: about the largest that the money backtest finds on five of six public sets."""

_ORIGIN = ("model_version", "model_sha256", "data_version", "calibration_id")


def decide_portfolio(
    forecasts: Sequence[Forecast], asked: PortfolioRequest, defaults: Defaults
) -> dict[str, Any]:
    """The body of `Portfolio`.

    A product whose numbers allow no decision is left out by name; the others share the budget.
    """
    products, left_out = _economics(forecasts, asked, defaults)
    kept = [forecast for forecast in forecasts if forecast.product_id in products]
    economics = [products[forecast.product_id] for forecast in kept]
    demands = [
        over(Demand.of(forecast.model_dump()), numbers.cover_months, numbers.month_correlation)
        for forecast, numbers in zip(kept, economics, strict=True)
    ]
    plan = plan_portfolio(demands, economics, asked.budget_cents)
    categories = [forecast.category for forecast in kept]
    first = forecasts[0].model_dump(include=set(_ORIGIN)) if forecasts else dict.fromkeys(_ORIGIN)
    return {
        "budget_cents": asked.budget_cents,
        "spend_cents": plan.spend_cents,
        "expected_profit_cents": round(plan.expected_profit_cents),
        "gain_per_next_cent": round(plan.multiplier, 6),
        "binding": ["budget"] if plan.multiplier > 0 else [],
        "products": len(kept),
        "orders": _orders(plan, kept, economics),
        "next_units": _next_units(plan, kept, asked.next_steps),
        "left_out": left_out,
        "scenarios": {
            name: {"profit_cents": round(value)}
            for name, value in total_profit(
                demands, categories, economics, plan.order_units.tolist(), DEPENDENCE
            ).items()
        },
        **first,
    }


def _economics(
    forecasts: Sequence[Forecast], asked: PortfolioRequest, defaults: Defaults
) -> tuple[dict[str, Economics], list[dict[str, str]]]:
    shared = asked.economics.model_dump(exclude_none=True)
    own: Mapping[str, Numbers] = asked.products
    found: dict[str, Economics] = {}
    known = {forecast.product_id for forecast in forecasts}
    left_out = [
        {"product_id": name, "reason": "it has no forecast here"} for name in sorted(set(own) - known)
    ]
    for forecast in forecasts:
        name = forecast.product_id
        numbers = shared | (own[name].model_dump(exclude_none=True) if name in own else {})
        try:
            found[name] = Economics.of(numbers, forecast.price_cents, defaults)
        except ImpossibleEconomics as error:
            left_out.append({"product_id": name, "reason": str(error)})
    return found, left_out


def _orders(
    plan: PortfolioPlan, kept: Sequence[Forecast], economics: Sequence[Economics]
) -> list[dict[str, Any]]:
    steps = plan.steps
    gain = np.bincount(
        steps.product[plan.bought], weights=steps.reward_cents[plan.bought], minlength=len(kept)
    )
    return [
        {
            "product_id": kept[i].product_id,
            "order_units": int(plan.order_units[i]),
            "cost_cents": int(plan.order_units[i]) * economics[i].cost_cents,
            "expected_gain_cents": round(float(gain[i])),
        }
        for i in np.flatnonzero(plan.order_units).tolist()
    ]


def _next_units(plan: PortfolioPlan, kept: Sequence[Forecast], most: int) -> list[dict[str, Any]]:
    steps = plan.steps
    return [
        {
            "product_id": kept[int(steps.product[i])].product_id,
            "units": int(steps.units[i]),
            "cost_cents": int(steps.cost_cents[i]),
            "expected_gain_cents": round(float(steps.reward_cents[i])),
            "gain_per_cent": round(float(steps.reward_per_cent[i]), 6),
        }
        for i in np.flatnonzero(~plan.bought)[:most].tolist()
    ]
