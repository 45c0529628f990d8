"""What a reviewer reads of a training beside its scores: calibration, and challenger against champion by part."""

from typing import Any, Final

import numpy as np

from ml import metrics
from ml import segments as parts
from ml.choice import number
from ml.distribution import LEVELS, Floats
from ml.evaluation import Backtest

INTERVALS: Final = ((0.25, 0.75), (0.1, 0.9), (0.05, 0.95))


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
    """Mean scaled pinball loss of two candidates in each part of `ml.segments`; a `ratio` below 1 is for the first."""
    ours, theirs = tested.losses(challenger), tested.losses(champion)
    rows = [
        _row(kind, name, ours[part], theirs[part])
        for kind, name, part in parts.segments(tested.history, tested.origins, tested.eligible)
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
