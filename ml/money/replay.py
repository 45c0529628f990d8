"""Profit of each policy on periods whose outcomes are known, against perfect information."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml.decisions.risk import CUT_SHARES, LEVELS, cost_at_risk, earning_power, level
from ml.decisions.stock import mismatch_cost, newsvendor
from ml.errors import NoDemand
from ml.money.dependence import measured
from ml.money.past_forecasts import PastForecasts
from ml.money.policies import OURS, PERFECT, POLICIES, Policy

Floats = NDArray[np.float64]

RATIOS: Final = (0.5, 0.7, 0.9)
"""Critical ratios: what a unit missing costs over that and what one too many costs."""

RISK_RATIO: Final = 0.5618
"""The critical ratio of the default economics (cost 60 %, salvage half, holding 2 % of it)."""

BOOTSTRAPS: Final = 1_000
_INTERVAL = (0.025, 0.975)


def replay(
    past: PastForecasts,
    seed: int,
    ratios: tuple[float, ...] = RATIOS,
    others: Mapping[str, Policy] = MappingProxyType({}),
) -> dict[str, Any]:
    """The whole report, ready for JSON: by critical ratio and demand class, risk classes, dependence.

    A unit sold earns `ratio`, a unit left over costs `1 - ratio`, in units of the price where `money` says
    so: the profit less that of perfect information is the pinball loss of the stock at that ratio.

    Args:
        past: Forecasts and what came.
        seed: Of the bootstrap and the split of ties.
        ratios: Critical ratios, each strictly between 0 and 1.
        others: Policies by name beside `POLICIES`.

    Raises:
        NoDemand: Nothing was sold in any row.
    """
    if not past.actual.any():
        raise NoDemand("nothing was sold in any forecast period, so no decision could earn anything")
    policies = {**POLICIES, **others}
    margins = [_margin(past, policies, ratio, seed) for ratio in ratios]
    return {
        "rows": len(past.actual),
        "series": len(np.unique(past.series)),
        "periods": sorted(set(past.period.tolist())),
        "margins": margins,
        "ours_is_best": all(margin["ours_is_best"] for margin in margins),
        "risk": _risk_order(past),
        "dependence": measured(past, seed).rounded(4),
    }


def _margin(past: PastForecasts, policies: Mapping[str, Policy], ratio: float, seed: int) -> dict[str, Any]:
    stocks = {name: policy(past, ratio) for name, policy in policies.items()}
    profits = {name: earned(past.actual, stock, ratio) for name, stock in stocks.items()}
    whole = {name: _summary(past, stocks[name], profits, name) for name in policies}
    classes = {}
    for name in sorted(set(past.demand_class.tolist()) - {""}):
        here = past.demand_class == name
        within = {policy: profit[here] for policy, profit in profits.items()}
        classes[name] = {
            "rows": int(here.sum()),
            **{p: _share(within[p], within[PERFECT]) for p in policies},
        }
    rivals = [name for name in policies if name not in (OURS, PERFECT)]
    return {
        "ratio": ratio,
        "policies": whole,
        "classes": classes,
        "gain_over": {name: _gain(past, profits, name, seed) for name in rivals},
        "ours_is_best": all(profits[OURS].sum() >= profits[name].sum() for name in rivals),
    }


def earned(actual: Floats, stock: Floats, ratio: float) -> Floats:
    """Profit of each row, in units of what a missing and a left over unit cost together."""
    sold, left = np.minimum(actual, stock), np.maximum(stock - actual, 0.0)
    profit: Floats = ratio * sold - (1 - ratio) * left
    return profit


def _summary(
    past: PastForecasts, stock: Floats, profits: Mapping[str, Floats], name: str
) -> dict[str, float | None]:
    priced = np.isfinite(past.price)
    money = {key: (profit * past.price)[priced] for key, profit in profits.items()}
    demand = past.actual.sum()
    return {
        "share_of_perfect": _share(profits[name], profits[PERFECT]),
        "share_of_perfect_money": _share(money[name], money[PERFECT]),
        "fill_rate": float(np.minimum(stock, past.actual).sum() / demand),
        "left_over_share": float(np.maximum(stock - past.actual, 0.0).sum() / demand),
    }


def _share(profit: Floats, perfect: Floats) -> float | None:
    """Of the profit of perfect information; None where there was nothing to earn."""
    return round(float(profit.sum() / perfect.sum()), 4) if perfect.sum() > 0 else None


def _gain(past: PastForecasts, profits: Mapping[str, Floats], rival: str, seed: int) -> dict[str, float]:
    """Share of perfect profit that ours earns beyond a rival, with its 95 % interval over series."""
    series = np.unique(past.series, return_inverse=True)[1]
    gain = np.bincount(series, weights=profits[OURS] - profits[rival])
    perfect = np.bincount(series, weights=profits[PERFECT])
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(gain), np.full(len(gain), 1 / len(gain)), BOOTSTRAPS)
    low, high = np.quantile((drawn @ gain) / np.maximum(drawn @ perfect, 1e-12), _INTERVAL)
    shares = {"mean": gain.sum() / perfect.sum(), "low": low, "high": high}
    return {name: round(float(value), 4) for name, value in shares.items()}


def _risk_order(past: PastForecasts) -> dict[str, Any] | None:
    """Realised cost over earning power by risk class, on the later periods under cuts of the earlier ones."""
    periods = sorted(set(past.period.tolist()))
    if len(periods) < 2:  # noqa: PLR2004  (one to cut, one to judge)
        return None
    early = past.period < periods[len(periods) // 2]
    under, over = RISK_RATIO, 1 - RISK_RATIO
    stock = np.array([newsvendor(demand, under, over)[0] for demand in past.demands], dtype=np.float64)
    at_risk = np.array(
        [
            cost_at_risk(demand, float(units), under, over)
            for demand, units in zip(past.demands, stock, strict=True)
        ]
    )
    cuts = np.quantile(at_risk[early], CUT_SHARES).tolist()
    cost = mismatch_cost(past.actual, stock, under, over)
    power = np.array([earning_power(demand, under) for demand in past.demands])
    kind = np.array([level(value, cuts) for value in at_risk.tolist()])
    found = {
        name: {
            "rows": int(here.sum()),
            "cost_over_margin": round(float(cost[here].sum() / power[here].sum()), 4),
        }
        for name in LEVELS
        for here in [(kind == name) & ~early]
        if here.any()
    }
    costs = [entry["cost_over_margin"] for entry in found.values()]
    rising = len(costs) == len(LEVELS) and bool(np.all(np.diff(costs) > 0))
    return {"cuts": [round(cut, 6) for cut in cuts], "classes": found, "strictly_rising": rising}
