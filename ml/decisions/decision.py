"""One product's decision with its reasons, as the decision service answers it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ml.decisions.advertising import STEP_SHARE, AdPlan, plan_advertising
from ml.decisions.demand import Demand, outcome_quantile
from ml.decisions.economics import Defaults, Economics
from ml.decisions.risk import cost_at_risk, level
from ml.decisions.stock import StockPlan, plan_stock, profit

LOW_SHARE, HIGH_SHARE = 0.1, 0.9

_FROM_FORECAST = ("product_id", "category", "month")
_ORIGIN = ("model_version", "model_sha256", "data_version", "calibration_id")


def decide(
    forecast: Mapping[str, Any], given: Mapping[str, float | None], defaults: Defaults | None = None
) -> dict[str, Any]:
    """Stock, advertising, risk and scenarios for one product, ready for JSON.

    Money is in cents, stock in units. `inputs` lists every number that was used and whether it was given;
    `binding` names the bounds that held a recommendation back.

    Args:
        forecast: One product's forecast answer.
        given: The planner's numbers, fields of `Economics`.
        defaults: What stands in for numbers not given.

    Raises:
        ImpossibleEconomics: No decision makes sense under these numbers.
    """
    economics = Economics.of(given, forecast.get("price_cents"), defaults)
    demand = Demand.of(forecast).over(economics.cover_months)
    stock = plan_stock(demand, economics)
    advertising = plan_advertising(demand, stock.available_units, economics)
    risk = cost_at_risk(demand, stock.available_units, economics.underage_cents, economics.overage_cents)
    cuts = forecast["risk_cuts"]
    return {
        **{name: forecast[name] for name in _FROM_FORECAST},
        "stock": _stock(stock, economics),
        "advertising": _advertising(advertising, economics),
        "risk": {"level": level(risk, cuts), "cost_at_risk": round(risk, 4), "cuts": list(cuts)},
        "scenarios": _scenarios(demand, stock, economics),
        "binding": _binding(stock, advertising),
        "reason": reason(forecast, stock, advertising, economics),
        "inputs": {
            name: {"value": value, "default": name in economics.defaulted}
            for name, value in economics.inputs().items()
        },
        **{name: forecast[name] for name in _ORIGIN},
    }


def reason(forecast: Mapping[str, Any], stock: StockPlan, advertising: AdPlan, economics: Economics) -> str:
    """The decision in one sentence for a planner."""
    months = "" if economics.cover_months == 1 else f" for {economics.cover_months} months"
    order = f"Order {stock.order_units} units" if stock.order_units else "Order nothing"
    held = economics.on_hand_units + economics.on_order_units
    return (
        f"{order} to have {stock.available_units}{months} ({held} are there or on the way): "
        f"mean demand is {forecast['mean']:.1f} a month, "
        f"a unit missing costs {economics.underage_cents} cents and one too many {economics.overage_cents}, "
        f"so stock should last in {economics.critical_ratio:.0%} of outcomes; {_advice(advertising)}."
    )


def _advice(advertising: AdPlan) -> str:
    if advertising.binding == "no_spend":
        return "advertising stays at nothing, since there is no spend to measure a response from"
    if abs(advertising.change_share) < 0.005:  # noqa: PLR2004  (half a percent rounds to 0 %)
        return "advertising stays as it is"
    return f"advertising {advertising.change_share:+.0%}, by an assumed elasticity where none was given"


def _stock(plan: StockPlan, economics: Economics) -> dict[str, Any]:
    return {
        **asdict(plan),
        "expected_profit_cents": round(plan.expected_profit_cents),
        "expected_mismatch_cost_cents": round(plan.expected_mismatch_cost_cents),
        "sellout_probability": round(plan.sellout_probability, 4),
        "critical_ratio": round(economics.critical_ratio, 4),
        "cover_months": economics.cover_months,
    }


def _advertising(plan: AdPlan, economics: Economics) -> dict[str, Any]:
    return {
        **asdict(plan),
        "now_cents": economics.ad_spend_cents,
        "change_share": round(plan.change_share, 4),
        "expected_profit_change_cents": round(plan.expected_profit_change_cents),
        "step_share": STEP_SHARE,
        "elasticity_source": "prior" if "ad_elasticity" in economics.defaulted else "given",
    }


def _scenarios(demand: Demand, stock: StockPlan, economics: Economics) -> dict[str, dict[str, int]]:
    """Low, expected and high of the outcome: P10, mean and P90 of the profit itself, not of demand."""
    earned = profit(demand.units, stock.available_units, economics)
    values = {
        "low": outcome_quantile(earned, demand.probability, LOW_SHARE),
        "expected": demand.expected(earned),
        "high": outcome_quantile(earned, demand.probability, HIGH_SHARE),
    }
    return {name: {"profit_cents": round(value)} for name, value in values.items()}


def _binding(stock: StockPlan, advertising: AdPlan) -> list[str]:
    bounds = [] if advertising.binding == "none" else [f"advertising_{advertising.binding}"]
    if stock.available_units > stock.stock_units:
        bounds.append("stock_already_above_recommendation")
    return bounds
