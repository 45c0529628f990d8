"""Histories from rows of numbers."""

from collections.abc import Sequence

import numpy as np

from ml.history import History

SHAPE = (1.2, 0.8, 1.1, 0.7, 1.5, 0.9, 1.0, 0.6, 1.3, 0.9, 1.1, 0.9)  # averages 1


def series(*rows: Sequence[float], start: str = "2024-01") -> History:
    """One product per row, all of one category, prices unknown."""
    units = np.array(rows, dtype=float)
    months = np.arange(np.datetime64(start, "M"), np.datetime64(start, "M") + units.shape[1])
    ids = tuple(f"P{i}" for i in range(len(rows)))
    return History(ids, ("any",) * len(rows), months, units, np.full(units.shape, np.nan))


def seasonal_series(years: int, zero: float = 0.0) -> list[float]:
    """Demand of 100 a month less `zero`, with the season of `SHAPE` and no noise."""
    return [100 * SHAPE[t % 12] - zero for t in range(12 * years)]
