"""Demand of whole categories and of the shop: sums of their products, drawn together.

Means add up and quantiles do not: fifty products that each sell more than their 90 % quantile in the same month
are rarer than one. So products are drawn jointly, with one factor for the shop and one per category, and the
quantiles are those of the summed draws. Products' own forecasts stay as they are; sums follow them.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand
from ml.decisions.paths import DRAWS_OF_A_TOTAL, draw_each
from ml.dependence import ASSUMED, Dependence
from ml.distribution import LEVELS
from ml.forecasting import DIGITS, category_forecasts, total_forecast

Floats = NDArray[np.float64]


def group_forecasts(
    answers: Sequence[bytes],
    dependence: Dependence = ASSUMED,
    *,
    draws: int = DRAWS_OF_A_TOTAL,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Fields of a snapshot's header: `category_forecasts` by name and `total_forecast`.

    Each has `mean` in units, how many `products` it sums, and `quantiles` at `ml.distribution.LEVELS` by name.
    A category's mean is the sum of its products' and the total's mean that of the categories', as rounded.

    Args:
        answers: One per product, as `ml.forecasting.Forecaster` makes them.
        dependence: Between products of one month.
        draws: Joint outcomes.
        seed: Same seed, same quantiles.
    """
    means, drawn = category_forecasts(answers), category_draws(answers, dependence, draws=draws, seed=seed)
    for name, group in means.items():
        drawn[name] = with_mean(drawn[name], group["mean"])
    categories = {name: {**group, "quantiles": _named(drawn[name])} for name, group in means.items()}
    total = {**total_forecast(means), "quantiles": _named(sum(drawn.values(), np.zeros(draws)))}
    return {"category_forecasts": categories, "total_forecast": total}


def category_draws(
    answers: Sequence[bytes], dependence: Dependence, *, draws: int, seed: int
) -> dict[str, Floats]:
    """(draws,) joint outcomes in units of each category; the k-th of all categories belong together."""
    products = [json.loads(answer) for answer in answers]
    names = [product["category"] for product in products]
    demands = [Demand.of(product) for product in products]
    sums = {name: np.zeros(draws) for name in sorted(set(names))}
    for name, units in zip(names, draw_each(demands, names, dependence, draws=draws, seed=seed), strict=True):
        sums[name] += units
    return sums


def with_mean(draws: Floats, mean: float) -> Floats:
    """The draws stretched from zero so that they have this mean; none becomes negative.

    A product's mean is forecast for least squares and need not be the mean of its quantiles, and over a thousand
    products the difference can be larger than the spread of the sum.
    """
    own = float(draws.mean())
    return draws * (mean / own) if own > 0 else np.full(draws.shape, mean)


def _named(draws: Floats) -> dict[str, float]:
    values = np.quantile(draws, LEVELS).tolist()
    return {f"{level:.2f}": round(units, DIGITS) for level, units in zip(LEVELS, values, strict=True)}
