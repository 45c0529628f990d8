"""The past as it would have been in the coming month, by the path of its category: the season that products share."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.features import SEASON, CategoryTotals, level, squared_scale, window
from ml.history import History

Floats = NDArray[np.float64]

STRENGTHS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of a category's path that a product may follow; of equal ones the first is taken."""

LARGEST_CHANGE: Final = 5.0
"""A month is multiplied or divided by no more."""

LARGEST_TARGET: Final = 10.0
"""A month of more than ten times the level teaches no more than one of ten."""


def as_coming(history: History, categories: CategoryTotals, strength: float) -> History:
    """Units times what the category is expected to sell in the next month over what it was in theirs.

    Unchanged in a category that `categories` does not have, and with a strength of 0.

    Args:
        history: Months before the one to forecast.
        categories: Of all products in the same months, or in more before them.
        strength: Power of that quotient, 0 to 1.
    """
    if categories.paths is None or strength == 0:
        return history
    paths = np.vstack([categories.paths, np.ones(categories.paths.shape[1])])
    columns = np.maximum(np.arange(-1 - history.T, 0) + paths.shape[1], 0)
    change = (paths[:, -1:] / paths[:, columns[:-1]]) ** strength
    change = np.clip(change, 1 / LARGEST_CHANGE, LARGEST_CHANGE)
    return replace(history, units=history.units * change[categories.rows(history)])


def squared_errors(history: History, categories: CategoryTotals, actual: Floats) -> Floats:
    """(len(STRENGTHS),) squared scaled errors of the mean of a year as the coming month, added up.

    Args:
        history: Months before the one that came.
        categories: Of all products in the same months.
        actual: (n,) units that came, NaN where unknown.
    """
    target, size = np.minimum(actual, LARGEST_TARGET * level(history)), squared_scale(history)
    errors = []
    for strength in STRENGTHS:
        mean = window(as_coming(history, categories, strength).units, SEASON).mean
        errors.append(float(np.nansum((target - mean) ** 2 / size)))
    return np.array(errors)
