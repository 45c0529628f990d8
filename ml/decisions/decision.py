"""One product's decision with its reasons, as the decision service answers it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.decisions.advertising import STEP_SHARE, AdPlan, lift_factor, plan_advertising
from ml.decisions.demand import Demand
from ml.decisions.economics import Defaults, Economics, with_months
from ml.decisions.paths import over
from ml.decisions.reasons import reasons
from ml.decisions.response import Responses, fit, prior
from ml.decisions.risk import cost_at_risk, earning_power, level, take_share
from ml.decisions.scenarios import scenarios
from ml.decisions.stock import StockPlan, plan_stock, profit, smallest_order
from ml.dependence import Dependence

Floats = NDArray[np.float64]

_FROM_FORECAST = ("product_id", "category", "month")
_ORIGIN = ("model_version", "model_sha256", "data_version", "calibration_id")


@dataclass(frozen=True)
class AdHistory:
    """Advertising of a product in consecutive months and the units it sold, oldest first."""

    spend_cents: Sequence[float]
    units: Sequence[float]


def decide(
    forecast: Mapping[str, Any],
    given: Mapping[str, float | None],
    defaults: Defaults | None = None,
    ad_history: AdHistory | None = None,
) -> dict[str, Any]:
    """Stock, advertising, risk, sizing and scenarios for one product, ready for JSON.

    Money is in cents, stock in units. `inputs` lists every number that was used and whether it was given;
    `binding` names the bounds that held a recommendation back; `dependence` says how errors stay over months,
    and whether that was given, measured when the model was trained, or assumed.

    Args:
        forecast: One product's forecast answer.
        given: The planner's numbers, fields of `Economics`.
        defaults: What stands in for numbers not given.
        ad_history: To fit a response to; without it the elasticity stands.

    Raises:
        ImpossibleEconomics: No decision makes sense under these numbers.
    """
    learned = Dependence.of(forecast)
    economics = Economics.of(given, forecast.get("price_cents"), with_months(defaults, learned))
    demand = over(Demand.of(forecast), economics.cover_months, economics.month_correlation)
    responses = _responses(economics, ad_history)
    stock = plan_stock(demand, economics)
    advertising = plan_advertising(demand, stock.available_units, economics, responses)
    outcomes = _Outcomes.of(demand, stock, advertising, economics, responses)
    risk = cost_at_risk(demand, stock.available_units, economics.underage_cents, economics.overage_cents)
    cuts = forecast["risk_cuts"]
    english, turkish = reasons(forecast["mean"], stock, advertising, economics, responses.source)
    return {
        **{name: forecast[name] for name in _FROM_FORECAST},
        "stock": _stock(stock, economics),
        "advertising": _advertising(advertising, economics, responses),
        "risk": {"level": level(risk, cuts), "cost_at_risk": round(risk, 4), "cuts": list(cuts)},
        "sizing": _sizing(outcomes, demand, stock, advertising, economics),
        "scenarios": outcomes.scenarios(),
        "binding": _binding(stock, advertising),
        "reason": english,
        "reason_tr": turkish,
        "inputs": {
            name: {"value": value, "default": name in economics.defaulted}
            for name, value in economics.inputs().items()
        },
        "dependence": {"months": economics.month_correlation, "source": _source(economics, learned)},
        **{name: forecast[name] for name in _ORIGIN},
    }


def _source(economics: Economics, learned: Dependence | None) -> str:
    if "month_correlation" not in economics.defaulted:
        return "given"
    return "assumed" if learned is None else "model"


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """Every demand with a low and a high response, (2 points,): probability and profit in cents."""

    probability: Floats
    with_plan: Floats
    without: Floats

    @classmethod
    def of(
        cls,
        demand: Demand,
        stock: StockPlan,
        advertising: AdPlan,
        economics: Economics,
        responses: Responses,
    ) -> "_Outcomes":
        """Profit when the plan is carried out, net of the change in advertising, and when nothing is done."""
        spent = (advertising.spend_cents - economics.ad_spend_cents) * economics.cover_months
        planned = [
            profit(
                demand.units * lift_factor(response, advertising.spend_cents, economics),
                stock.available_units,
                economics,
            )
            - spent
            for response in (responses.low, responses.high)  # equally likely: the middle's mean and variance
        ]
        idle = profit(demand.units, stock.available_units - stock.order_units, economics)
        return cls(np.tile(demand.probability / 2, 2), np.concatenate(planned), np.tile(idle, 2))

    def scenarios(self) -> dict[str, dict[str, int]]:
        """Low, expected and high of the outcome: P10, mean and P90 of the profit itself, not of demand."""
        values = scenarios(self.with_plan, self.probability)
        return {name: {"profit_cents": round(value)} for name, value in values.items()}


def _responses(economics: Economics, history: AdHistory | None) -> Responses:
    fitted = fit(history.spend_cents, history.units) if history else None
    if fitted is not None:
        return fitted
    source = "prior" if "ad_elasticity" in economics.defaulted else "given"
    error = economics.ad_elasticity_error
    return prior(max(economics.ad_spend_cents, 1), economics.ad_elasticity, error, source)


def _sizing(
    outcomes: _Outcomes, demand: Demand, stock: StockPlan, advertising: AdPlan, economics: Economics
) -> dict[str, Any]:
    """How much of order and advertising change to take against doing nothing; the order in whole packs."""
    share = take_share(
        outcomes.with_plan - outcomes.without,
        outcomes.probability,
        earning_power(demand, economics.underage_cents),
    )
    packs = round(share * stock.order_units / economics.pack_units)
    order = packs * economics.pack_units
    now = economics.ad_spend_cents
    return {
        "take_share": round(share, 4),
        "order_units": order if order >= smallest_order(economics) else 0,
        "spend_cents": round(now + share * (advertising.spend_cents - now)),
    }


def _stock(plan: StockPlan, economics: Economics) -> dict[str, Any]:
    numbers = asdict(plan)
    del numbers["binding"]
    return {
        **numbers,
        "expected_profit_cents": round(plan.expected_profit_cents),
        "expected_mismatch_cost_cents": round(plan.expected_mismatch_cost_cents),
        "sellout_probability": round(plan.sellout_probability, 4),
        "critical_ratio": round(economics.critical_ratio, 4),
        "cover_months": economics.cover_months,
    }


def _advertising(plan: AdPlan, economics: Economics, responses: Responses) -> dict[str, Any]:
    return {
        **asdict(plan),
        "now_cents": economics.ad_spend_cents,
        "change_share": round(plan.change_share, 4),
        "expected_profit_change_cents": round(plan.expected_profit_change_cents),
        "step_share": STEP_SHARE,
        "elasticity_source": responses.source,
    }


def _binding(stock: StockPlan, advertising: AdPlan) -> list[str]:
    bounds = [] if advertising.binding == "none" else [f"advertising_{advertising.binding}"]
    return [*bounds, *stock.binding]
