"""How the errors of past forecasts went together."""

from typing import Final

import numpy as np

from ml.decisions.paths import normal_score
from ml.dependence import Dependence
from ml.evaluation import Backtest
from ml.money.past_forecasts import PastForecasts

MOST_ROWS: Final = 10_000
"""A correlation is known well enough from so many forecasts."""


def measured(past: PastForecasts, seed: int) -> Dependence:
    """Of products in one period, and of one forecast's errors in its own period and the one after.

    What came is a normal score under its forecast: standard normal where the forecast is the truth, and
    independent where nothing that was forgotten moves products or months together.

    Args:
        past: Forecasts and what came.
        seed: Of the split of ties.
    """
    uniform = np.random.default_rng(seed).random(len(past.actual))
    series, period = (np.unique(column, return_inverse=True)[1] for column in (past.series, past.period))
    shape = (int(series.max()) + 1, int(period.max()) + 1)
    scores, categories = np.full(shape, np.nan), np.full(shape[0], "", dtype=object)
    row_of = {place: i for i, place in enumerate(zip(series.tolist(), period.tolist(), strict=True))}
    pairs = np.full((len(past.actual), 2), np.nan)
    for i, demand in enumerate(past.demands):
        pairs[i, 0] = normal_score(demand, float(past.actual[i]), float(uniform[i]))
        scores[series[i], period[i]], categories[series[i]] = pairs[i, 0], past.category[i]
        if (later := row_of.get((int(series[i]), int(period[i]) + 1))) is not None:
            pairs[i, 1] = normal_score(demand, float(past.actual[later]), float(uniform[later]))
    products = Dependence.fit(scores, [str(name) for name in categories])
    return Dependence(products.shop, products.category, Dependence.fit(pairs, past.series.tolist()).months)


def of_backtest(tested: Backtest, name: str, seed: int) -> Dependence | None:
    """That of a candidate's forecasts in a backtest; None where none of them counts."""
    return (
        measured(PastForecasts.of_backtest(tested, name, MOST_ROWS), seed) if tested.eligible.any() else None
    )
