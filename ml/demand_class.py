"""What kind of demand a product has: residuals are pooled and results are shown by it."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ml.features import SEASON, seen, window
from ml.history import History

CLASSES: Final = ("smooth", "erratic", "intermittent", "lumpy", "new", "dormant")
NEW, DORMANT = CLASSES.index("new"), CLASSES.index("dormant")

LONGEST_INTERVAL: Final = 1.32
LARGEST_VARIATION: Final = 0.49
SETTLED_MONTHS: Final = 6

_CLASSES: Final[WeakKeyDictionary[History, NDArray[np.intp]]] = WeakKeyDictionary()
"""Asked for several times of one history, and answered once."""


def demand_class(history: History) -> NDArray[np.intp]:
    """(n,) position in `CLASSES` of each product.

    The first four follow Syntetos, Boylan and Croston (2005): months per month with sales above 1.32 make a
    product intermittent, a squared variation of the sizes above 0.49 makes it erratic, both make it lumpy.
    Fewer than six months since the first sale is `new`, no sale in the last twelve is `dormant`.
    """
    found = _CLASSES.get(history)
    if found is None:
        found = _CLASSES[history] = _demand_class(history)
        found.flags.writeable = False
    return found


def _demand_class(history: History) -> NDArray[np.intp]:
    units, whole = history.units, seen(history, history.T)
    sold = window(np.where(units > 0, units, np.nan), history.T)
    interval = whole.months / np.maximum(sold.months, 1.0)
    variation = np.where(sold.months > 0, sold.deviation / np.where(sold.months > 0, sold.mean, 1.0), 0.0)
    kind = 2 * (interval > LONGEST_INTERVAL) + (variation * variation > LARGEST_VARIATION)
    active = seen(history, SEASON).nonzero_share > 0
    kind = np.where(active, kind, DORMANT)
    return np.where(whole.months < SETTLED_MONTHS, NEW, kind).astype(np.intp)
