"""A shop whose demand follows its planned prices and promotions by known effects."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.history import History
from tests.ml.small_history import small_shop

ELASTICITY = -2.0
PROMOTION = 0.5


def planned_shop(
    products: int = 120, months: int = 30, seed: int = 0, spread: float = 0.4
) -> tuple[History, NDArray[np.float64]]:
    """Negative binomial units around a log-linear response, and (n,) each product's true price elasticity."""
    rng = np.random.default_rng(seed)
    elasticity = rng.normal(ELASTICITY, spread, products)
    promotion = (rng.uniform(size=(products, months + 1)) < 0.3).astype(float)
    usual = rng.integers(200, 3_000, (products, 1)).astype(float)
    price = usual * np.exp(rng.normal(0, 0.2, (products, months + 1)))
    mean = np.exp(rng.uniform(np.log(20), np.log(200), (products, 1)))
    rate = mean * (price / usual) ** elasticity[:, np.newaxis] * np.exp(PROMOTION * promotion)
    units = rng.poisson(rng.gamma(10.0, rate[:, :-1] / 10.0)).astype(float)
    units[:, 0] = np.maximum(units[:, 0], 1.0)
    plain = replace(small_shop(products, months, seed), units=units, price_cents=price[:, :-1], extra={})
    return replace(plain, plan={"price_cents": price, "promotion": promotion}), elasticity


def without_plan(history: History) -> History:
    """The same shop, its plan forgotten."""
    return replace(history, plan={})
