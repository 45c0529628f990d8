"""Exponential smoothing with a damped trend, many at once and averaged."""

from __future__ import annotations

from itertools import product
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ml.features import window
from ml.history import History
from ml.models.seasonality import seasonally_adjusted
from ml.models.smoothing import PointModel

Floats = NDArray[np.float64]

LEVEL_WEIGHTS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
TREND_SHARES: Final = (0.1, 0.3)
"""Weight of the trend as a share of that of the level."""

DAMPINGS: Final = (0.8, 0.9, 0.98)
FORMS: Final = (
    *((weight, 0.0, 1.0) for weight in LEVEL_WEIGHTS),
    *(
        (weight, weight * share, damping)
        for weight, share, damping in product(LEVEL_WEIGHTS, TREND_SHARES, DAMPINGS)
    ),
)
"""(level weight, trend weight, damping) of each form; those without a trend first."""

LARGEST_MULTIPLE: Final = 2.0
"""A forecast is never more than this many times the product's largest month."""


class DampedTrend(PointModel):
    """ETS(A,N,N) and ETS(A,Ad,N) (Gardner and McKenzie 1985) with and without the season, averaged.

    Forms are weighted per product by exp(-AIC/2) (Kolassa 2011), which is steadier than choosing one: a
    product with few months has no clear best. Seasonal indices count as parameters.
    """

    name: ClassVar[str] = "damped_trend"
    family: ClassVar[str] = "smoothing"

    def point(self, history: History) -> Floats:
        """The average of the forms, at least 0."""
        adjusted = seasonally_adjusted(history)
        plain, plain_aic = _smoothed(history.units)
        free, free_aic = _smoothed(adjusted.units)
        seasonal = free * adjusted.factor[:, np.newaxis] + adjusted.offset[:, np.newaxis]
        seasonal_aic = np.where(
            adjusted.seasonal[:, np.newaxis], free_aic + 2.0 * (history.season - 1), np.inf
        )
        forecasts = np.concatenate([plain, seasonal], axis=1)
        average = _weighted(forecasts, np.concatenate([plain_aic, seasonal_aic], axis=1))
        return np.clip(average, 0.0, LARGEST_MULTIPLE * window(history.units, history.T).largest)


def _smoothed(units: Floats) -> tuple[Floats, Floats]:
    """(n, forms) forecasts of the next month, and Akaike's criterion of each form up to a constant per row.

    Starts at the first known value without a trend.
    """
    weight, trend_weight, damping = (np.array(column) for column in zip(*FORMS, strict=True))
    shape = (units.shape[0], len(FORMS))
    level, trend, squares, months = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for t in range(units.shape[1]):
        value = units[:, t, np.newaxis]
        error = value - (level + damping * trend)
        going = ~np.isnan(error)
        error = np.where(going, error, 0.0)
        squares, months = squares + error * error, months + going
        level = np.where(
            np.isnan(level), value, np.where(going, level + damping * trend + weight * error, level)
        )
        trend = np.where(going, damping * trend + trend_weight * error, trend)
    tiny = np.finfo(np.float64).tiny
    parameters = np.where(trend_weight > 0, 3.0, 1.0)
    criterion = months * np.log(np.maximum(squares, tiny) / np.maximum(months, 1.0)) + 2.0 * parameters
    return level + damping * trend, criterion


def _weighted(forecasts: Floats, criterion: Floats) -> Floats:
    """(n,) average by Akaike weights, summed form by form."""
    best = np.min(criterion, axis=1)
    top, bottom = np.zeros(len(best)), np.zeros(len(best))
    for form in range(forecasts.shape[1]):
        weight = np.exp(0.5 * (best - criterion[:, form]))
        top, bottom = top + weight * forecasts[:, form], bottom + weight
    return top / bottom
