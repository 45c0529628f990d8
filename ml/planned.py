"""Features of what is planned for the month to forecast: its price, promotion and advertising.

A plan is known before its month begins, so the last column of `History.plan` is no leak. Past months count as
they were planned. The response of demand to the plan comes from months before the origin, as all else.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml import features
from ml.features import (
    FEATURES,
    SEASON,
    CategoryTotals,
    lag,
    level,
    price_path,
    ratio,
    relative_planned_price,
    window,
)
from ml.history import History
from ml.response import Response

Floats = NDArray[np.float64]


EFFORTS: Final = ("promotion", "advertising")


def names(*, planned: bool) -> tuple[str, ...]:
    """Names of the columns of `build`, in order."""
    return (*FEATURES, *PLAN_FEATURES) if planned else FEATURES


def size(history: History, response: Response | None) -> Floats:
    """(n,) units that targets are divided by: the level, or that with a usual plan times the lift."""
    if response is None:
        return level(history)
    usual, lift = response.split(history)
    return level(usual) * lift


def build(history: History, categories: CategoryTotals, response: Response | None) -> Floats:
    """(n, len(names)) features of `history.next_month`, with those of the plan or without.

    Args:
        history: Months before the one to forecast.
        categories: Of all products in the same months.
        response: Adds `PLAN_FEATURES`, NaN where there is no plan; None leaves them out.
    """
    rows = features.build(history, categories)
    if response is None:
        return rows
    columns = _price(history, categories) | _usual(history, response)
    for name in EFFORTS:
        columns |= _effort(name, history.planned(name))
    return np.column_stack([rows, *(columns[name] for name in PLAN_FEATURES)])


def _price(history: History, categories: CategoryTotals) -> dict[str, Floats]:
    path, nothing = price_path(history), np.full(history.n, np.nan)
    if "price_cents" not in history.plan:
        return dict.fromkeys(PRICE_FEATURES, nothing)
    shop = history.plan.get("shop_price", np.full((history.n, history.T + 1), np.nan))
    now, relative = history.plan["price_cents"][:, -1], relative_planned_price(history)
    recent = window(path, SEASON)
    category = _of_category(history, categories)
    return {
        "planned_price": relative,
        "planned_price_change": ratio(now, lag(path, 1)),
        "planned_price_to_highest": ratio(now, recent.largest),
        "price_before": ratio(lag(path, 1), recent.mean),
        "price_two_before": ratio(lag(path, 2), recent.mean),
        "price_variation": ratio(recent.deviation, recent.mean),
        "category_planned_price": category,
        "planned_price_to_category": ratio(relative, category),
        "planned_shop_price": ratio(shop[:, -1], window(shop[:, :-1], SEASON).mean),
        "planned_shop_price_change": ratio(shop[:, -1], lag(shop[:, :-1], 1)),
    }


def _usual(history: History, response: Response) -> dict[str, Floats]:
    """Units as they would have been with a usual plan, and what the next plan does to them."""
    usual, lift = response.split(history)
    base = level(usual)
    columns = {f"usual_lag_{k}": lag(usual.units, k) / base for k in (1, 2, 3)}
    columns |= {f"usual_mean_{k}": window(usual.units, k).mean / base for k in (3, 6)}
    return columns | {
        "planned_lift": np.log(lift),
        "usual_to_level": base / level(history),
        "usual_deviation": window(usual.units, SEASON).deviation / base,
    }


def _of_category(history: History, categories: CategoryTotals) -> Floats:
    prices = categories.planned_prices
    if prices is None:
        return np.full(history.n, np.nan)
    position = {name: i for i, name in enumerate(categories.names)}
    code = [position.get(name, len(position)) for name in history.categories]
    return np.append(prices, np.nan)[code]


def _effort(name: str, values: Floats) -> dict[str, Floats]:
    """Promotion or advertising: next, last, the month before, usual, and the difference to usual."""
    usual = window(values[:, :-1], SEASON).mean
    return {
        f"planned_{name}": values[:, -1],
        f"{name}_before": lag(values[:, :-1], 1),
        f"{name}_two_before": lag(values[:, :-1], 2),
        f"{name}_usual": usual,
        f"{name}_over_usual": values[:, -1] - usual,
    }


PRICE_FEATURES: Final = (
    *("planned_price", "planned_price_change", "planned_price_to_highest"),
    *("price_before", "price_two_before", "price_variation"),
    *(
        "category_planned_price",
        "planned_price_to_category",
        "planned_shop_price",
        "planned_shop_price_change",
    ),
)
PLAN_FEATURES: Final = (
    *PRICE_FEATURES,
    *("usual_lag_1", "usual_lag_2", "usual_lag_3", "usual_mean_3", "usual_mean_6"),
    *("planned_lift", "usual_to_level", "usual_deviation"),
    *(
        form.format(name)
        for name in EFFORTS
        for form in ("planned_{}", "{}_before", "{}_two_before", "{}_usual", "{}_over_usual")
    ),
)
"""Names of the columns that a plan adds."""
