"""The Theta method with a start that is fitted too, and any number of months ahead."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ml.features import window
from ml.history import History
from ml.models.seasonality import indices
from ml.models.smoothing import PointModel
from ml.models.theta import LARGEST_MULTIPLE, slope

Floats = NDArray[np.float64]

WEIGHTS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Those of `smooth` without the smallest: with a free start it can draw any line."""


class FittedTheta(PointModel):
    """Simple exponential smoothing from its best start, with half the linear trend as drift.

    As `Theta` (Hyndman and Billah 2003), but the level before the first month is the one with the least squared
    error, as libraries fit it, so the first month decides less.
    """

    name: ClassVar[str] = "theta_fitted"
    family: ClassVar[str] = "statistical"

    def point(self, history: History) -> Floats:
        """The next month, at most three times the largest."""
        largest = window(history.units, history.T).largest
        return np.clip(self.ahead(history, 1)[:, 0], 0.0, LARGEST_MULTIPLE * largest)

    def ahead(self, history: History, months: int) -> Floats:
        """(n, months) the next months in their seasons, without bounds."""
        _, factors, offsets = indices(history)
        adjusted = history.units / factors[:, history.phases] - offsets[:, history.phases]
        level, weight, remaining = smooth_from_best_start(adjusted)
        drift, columns = 0.5 * slope(adjusted), []
        for k in range(months):
            phase = (history.next_phase + k) % history.season
            straight = level + drift * (k + (1.0 - remaining) / weight)
            columns.append(straight * factors[:, phase] + offsets[:, phase])
        return np.stack(columns, axis=1)


def smooth_from_best_start(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Level after the last column from the start and weight with the smallest squared one-step error.

    Errors are linear in the start: one step from 0 less what is left of the start, so for each weight the best
    start is a quotient of sums. Of equal weights the smallest wins.

    Args:
        values: (n, T), NaN before the start of a row.

    Returns:
        Three (n,) arrays: level (NaN where nothing is known), weight, and the share of the start in the level.
    """
    weights = np.array(WEIGHTS)
    shape = (values.shape[0], len(weights))
    level, left = np.zeros(shape), np.ones(shape)
    squares, products, lefts = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for t in range(values.shape[1]):
        value = values[:, t, np.newaxis]
        known = ~np.isnan(value)
        error, share = np.where(known, value - level, 0.0), np.where(known, left, 0.0)
        squares, products, lefts = squares + error * error, products + error * share, lefts + share * share
        level, left = level + weights * error, left - weights * share
    start = products / np.maximum(lefts, 1.0)
    best, row = np.argmin(squares - products * start, axis=1), np.arange(values.shape[0])
    found = (level + left * start)[row, best]
    return np.where(lefts[:, 0] > 0, found, np.nan), weights[best], left[row, best]
