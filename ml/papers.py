"""What a reviewer reads of a training beside its scores: calibration, and challenger against champion by part."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml.choice import number
from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS, Floats
from ml.evaluation import Backtest
from ml.features import SEASON, window

INTERVALS: Final = ((0.25, 0.75), (0.1, 0.9), (0.05, 0.95))
SIZES: Final = ("small", "middle", "large")
MOST_CATEGORIES: Final = 10
"""The categories with most forecasts are shown by name, the others together."""

OTHERS: Final = "all others"

Parts = NDArray[np.str_]


def calibration(tested: Backtest, name: str) -> dict[str, Any]:
    """How often the outcomes of the tested months fell into a candidate's intervals; None without a forecast."""
    counted = int(tested.eligible.sum())
    return {
        "observations": counted,
        "first_month": str(tested.history.months[tested.origins[0]]),
        "last_month": str(tested.history.months[tested.origins[-1]]),
        "intervals": [
            {"level": round(high - low, 2), "covered": _covered(tested, name, low, high) if counted else None}
            for low, high in INTERVALS
        ],
    }


def segments(tested: Backtest, challenger: str, champion: str) -> dict[str, Any]:
    """Mean scaled pinball loss of two candidates by demand class, size and category.

    Classes are those a product had before the month that was forecast. Sizes part the products in thirds by the
    units of a month in the last year. A `ratio` below 1 is for the challenger.
    """
    ours, theirs = tested.losses(challenger), tested.losses(champion)
    rows = [
        _row(kind, name, ours[part], theirs[part])
        for kind, labels in (
            ("demand class", _classes(tested)),
            ("size", _sizes(tested)),
            ("category", _categories(tested)),
        )
        for name, part in _parts(labels, tested.eligible)
    ]
    return {"against": champion, "rows": rows}


def _covered(tested: Backtest, name: str, low: float, high: float) -> float:
    actual, lower, upper = [], [], []
    for k, t in enumerate(tested.origins):
        use, levels = tested.eligible[:, k], tested.predictions[name][k].levels
        actual.append(tested.history.units[use, t])
        lower.append(levels[use, LEVELS.index(low)])
        upper.append(levels[use, LEVELS.index(high)])
    return metrics.coverage(*map(np.concatenate, (actual, lower, upper)))


def _classes(tested: Backtest) -> Parts:
    """(n, origins) names of demand classes."""
    names = np.array(CLASSES)
    return np.stack([names[demand_class(tested.history.until(t))] for t in tested.origins], axis=1)


def _sizes(tested: Backtest) -> Parts:
    """(n, origins) names of sizes."""
    pasts = (tested.history.until(t) for t in tested.origins)
    level = np.stack([np.nan_to_num(window(past.units, SEASON).mean) for past in pasts], axis=1)
    counted = level[tested.eligible]
    cuts = np.quantile(counted, [1 / 3, 2 / 3]) if counted.size else np.zeros(2)
    names: Parts = np.array(SIZES)[np.digitize(level, cuts)]
    return names


def _categories(tested: Backtest) -> Parts:
    """(n, origins) names of categories, the rare ones together."""
    names = np.array(tested.history.categories)
    found, place = np.unique(names, return_inverse=True)
    forecasts = np.bincount(place, weights=tested.eligible.sum(axis=1), minlength=len(found))
    shown = found[np.argsort(-forecasts, kind="stable")[:MOST_CATEGORIES]]
    labels = np.where(np.isin(names, shown), names, OTHERS)
    return np.repeat(labels[:, np.newaxis], len(tested.origins), axis=1)


def _parts(labels: Parts, eligible: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each label that has forecasts, most forecasts first."""
    names, counts = np.unique(labels[eligible], return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")]:
        yield str(name), (labels == name) & eligible


def _row(kind: str, name: str, ours: Floats, theirs: Floats) -> dict[str, Any]:
    challenger, champion = float(np.mean(ours)), float(np.mean(theirs))
    return {
        "kind": kind,
        "name": name,
        "observations": int(ours.size),
        "challenger": number(round(challenger, 6)),
        "champion": number(round(champion, 6)),
        "ratio": number(round(challenger / champion, 6)) if champion > 0 else None,
    }
