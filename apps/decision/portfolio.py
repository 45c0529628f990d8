"""Orders of many products under one budget, as the decision service answers them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from apps.decision.schemas import Numbers, PortfolioRequest
from apps.forecast.schemas import Forecast
from ml.decisions import Defaults, Economics
from ml.decisions.advertising import plan_ad_budget
from ml.decisions.demand import Demand
from ml.decisions.economics import with_months
from ml.decisions.paths import over
from ml.decisions.portfolio import PortfolioPlan, plan_portfolio
from ml.decisions.response import Response
from ml.decisions.scenarios import total_profit
from ml.dependence import ASSUMED, Dependence
from ml.errors import ImpossibleEconomics

_CENT_SLACK = 1e-6
"""A bisection ends a hair below a whole cent."""

_ORIGIN = ("model_version", "model_sha256", "data_version", "calibration_id")


def decide_portfolio(
    forecasts: Sequence[Forecast], asked: PortfolioRequest, defaults: Defaults
) -> dict[str, Any]:
    """The body of `Portfolio`.

    A product whose numbers allow no decision is left out by name; the others share the budget.
    """
    origin = (
        forecasts[0].model_dump(include={*_ORIGIN, "dependence"}) if forecasts else dict.fromkeys(_ORIGIN)
    )
    learned = Dependence.of(origin)
    products, left_out = _economics(forecasts, asked, with_months(defaults, learned))
    kept = [forecast for forecast in forecasts if forecast.product_id in products]
    economics = [products[forecast.product_id] for forecast in kept]
    months = Demand.of_all([vars(forecast) for forecast in kept])
    demands = [
        over(demand, numbers.cover_months, numbers.month_correlation)
        for demand, numbers in zip(months, economics, strict=True)
    ]
    plan = plan_portfolio(demands, economics, asked.budget_cents)
    categories = [forecast.category for forecast in kept]
    dependence = learned or ASSUMED
    return {
        "budget_cents": asked.budget_cents,
        "spend_cents": plan.spend_cents,
        "expected_profit_cents": round(plan.expected_profit_cents),
        "gain_per_next_cent": round(plan.multiplier, 6),
        "binding": ["budget"] if plan.multiplier > 0 else [],
        "products": len(kept),
        "orders": _orders(plan, kept, economics),
        "next_units": _next_units(plan, kept, asked.next_steps),
        "advertising": _advertising(plan, asked.ad_budget_cents, kept, demands, economics),
        "left_out": left_out,
        "scenarios": {
            name: {"profit_cents": round(value)}
            for name, value in total_profit(
                demands, categories, economics, plan.order_units.tolist(), dependence
            ).items()
        },
        **origin,
        "dependence": {**asdict(dependence), "source": "model" if learned else "assumed"},
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
    steps, rate = plan.steps, plan.steps.reward_per_cent
    return [
        {
            "product_id": kept[int(steps.product[i])].product_id,
            "units": int(steps.units[i]),
            "cost_cents": int(steps.cost_cents[i]),
            "expected_gain_cents": round(float(steps.reward_cents[i])),
            "gain_per_cent": round(float(rate[i]), 6),
        }
        for i in np.flatnonzero(~plan.bought)[:most].tolist()
    ]


def _advertising(
    plan: PortfolioPlan,
    budget: int | None,
    kept: Sequence[Forecast],
    demands: Sequence[Demand],
    economics: Sequence[Economics],
) -> dict[str, Any] | None:
    """One advertising budget for products with a present spend, given the stock of the orders."""
    spent = [i for i, numbers in enumerate(economics) if numbers.ad_spend_cents > 0]
    if budget is None:
        return None
    if not spent:
        return {"spend_cents": 0, "gain_per_next_cent": 0.0, "products": []}
    numbers = [economics[i] for i in spent]
    held = [e.position_units for e in numbers]
    available = [stock + int(plan.order_units[i]) for stock, i in zip(held, spent, strict=True)]
    response = Response.constant_elasticity(
        np.array([float(e.ad_spend_cents) for e in numbers]), np.array([e.ad_elasticity for e in numbers])
    )
    ads = plan_ad_budget([demands[i] for i in spent], available, numbers, response, budget)
    rounded = np.floor(ads.spend_cents + _CENT_SLACK).astype(int).tolist()
    return {
        "spend_cents": sum(rounded),
        "gain_per_next_cent": round(ads.multiplier, 6),
        "products": [
            {
                "product_id": kept[i].product_id,
                "spend_cents": spend,
                "now_cents": economics[i].ad_spend_cents,
                "binding": binding,
            }
            for i, spend, binding in zip(spent, rounded, ads.binding, strict=True)
        ],
    }
