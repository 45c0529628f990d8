"""Low, expected and high of an outcome in money: of the profit itself, never of the demand behind it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand, outcome_quantile
from ml.decisions.economics import Economics
from ml.decisions.paths import DRAWS, draw_each
from ml.decisions.stock import profit
from ml.dependence import Dependence

Floats = NDArray[np.float64]

LOW_SHARE: Final = 0.1
HIGH_SHARE: Final = 0.9


def scenarios(profit_cents: Floats, probability: Floats) -> dict[str, float]:
    """P10, mean and P90 of profits with these probabilities, in cents."""
    return {
        "low": outcome_quantile(profit_cents, probability, LOW_SHARE),
        "expected": float(probability @ profit_cents),
        "high": outcome_quantile(profit_cents, probability, HIGH_SHARE),
    }


def total_profit(
    demands: Sequence[Demand],
    categories: Sequence[str],
    economics: Sequence[Economics],
    order_units: Sequence[int],
    dependence: Dependence,
) -> dict[str, float]:
    """Scenarios of the profit of all products together, from 1,000 joint draws of their demands.

    Args:
        demands: One per product, of all months that its order covers.
        categories: One per product.
        economics: One per product.
        order_units: One per product, beyond what is there and on the way.
        dependence: Between products.
    """
    total = np.zeros(DRAWS)
    drawn = draw_each(demands, categories, dependence)
    for units, product, order in zip(drawn, economics, order_units, strict=True):
        total += profit(units, product.position_units + order, product)
    return scenarios(total, np.full(DRAWS, 1 / DRAWS))
