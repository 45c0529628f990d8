"""Laws, economics and a brute-force value of a stock that the tests of stock decisions share."""

import math

import numpy as np

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics


def poisson(mean: float) -> Demand:
    log_mass = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(200)]
    return Demand(np.exp(log_mass))


def economics(**given: float) -> Economics:
    return Economics.of({"price_cents": 1000, **given}, None)


def worst_mean_by_sorting(mass: list[float], stock: int, worked: Economics) -> float:
    outcomes = sorted(
        (
            1000 * min(y, stock)
            + (worked.salvage_cents - worked.holding_cents) * max(stock - y, 0)
            - worked.goodwill_cents * max(y - stock, 0)
            - worked.cost_cents * stock,
            p,
        )
        for y, p in enumerate(mass)
    )
    left, total = worked.cvar_share, 0.0
    for earned, p in outcomes:
        part = min(p, left)
        total, left = total + part * earned, left - part
    return total / worked.cvar_share
