"""The Theta method (Assimakopoulos and Nikolopoulos 2000), for all products at once."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ml.features import window
from ml.history import History
from ml.models.seasonality import seasonally_adjusted
from ml.models.smoothing import PointModel, smooth

Floats = NDArray[np.float64]

LARGEST_MULTIPLE: Final = 3.0
"""A forecast is never more than this many times the product's largest month."""

SLOPE_MONTHS: Final = 3
"""A product with fewer months is taken as without trend."""


class Theta(PointModel):
    """Exponential smoothing with half the linear trend as drift (Hyndman and Billah 2003), deseasonalised."""

    name: ClassVar[str] = "theta"
    family: ClassVar[str] = "statistical"

    def point(self, history: History) -> Floats:
        """The smoothed level plus drift, in the season of the next month."""
        adjusted = seasonally_adjusted(history)
        level, drift = _level_and_drift(adjusted.units)
        forecast = (level + drift) * adjusted.factor + adjusted.offset
        return np.clip(forecast, 0.0, LARGEST_MULTIPLE * window(history.units, history.T).largest)


def _level_and_drift(values: Floats) -> tuple[Floats, Floats]:
    level, weight = smooth(values)
    remaining = np.ones(values.shape[0])
    for t in range(values.shape[1]):
        remaining = np.where(np.isnan(values[:, t]), remaining, remaining * (1.0 - weight))
    return level, 0.5 * slope(values) * (1.0 - remaining) / weight


def slope(values: Floats) -> Floats:
    """Least-squares slope of each row over its known months; 0 with fewer than `SLOPE_MONTHS`."""
    known, seen = ~np.isnan(values), window(values, values.shape[1])
    middle = values.shape[1] - 1 - (seen.months - 1.0) / 2.0
    top, bottom = np.zeros(values.shape[0]), np.zeros(values.shape[0])
    for t in range(values.shape[1]):
        away = np.where(known[:, t], t - middle, 0.0)
        top = top + away * np.where(known[:, t], values[:, t] - seen.mean, 0.0)
        bottom = bottom + away * away
    return np.where(seen.months >= SLOPE_MONTHS, top / np.maximum(bottom, 1.0), 0.0)
