"""Histories from rows of numbers."""

from collections.abc import Sequence

import numpy as np

from ml.history import History


def series(*rows: Sequence[float], start: str = "2024-01") -> History:
    """One product per row, all of one category, prices unknown."""
    units = np.array(rows, dtype=float)
    months = np.arange(np.datetime64(start, "M"), np.datetime64(start, "M") + units.shape[1])
    ids = tuple(f"P{i}" for i in range(len(rows)))
    return History(ids, ("any",) * len(rows), months, units, np.full(units.shape, np.nan))
