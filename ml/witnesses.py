"""What a reviewer reads beside the gate's answer; none of it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.evaluation import Backtest
from ml.inference import diebold_mariano
from ml.segments import revenue
from ml.trial import Cost, Trial

LARGEST_WEIGHT: Final = 0.01
"""Of a product in the loss that is weighted by revenue."""

COUNTED_UNITS: Final = 100
"""Forecasts of at most as many units are scored by the probability of each number of units."""


@dataclass(frozen=True)
class Witnesses:
    """Second opinions on one comparison; NaN where one has no meaning.

    Attributes:
        months: That were judged.
        levels: Whose loss was judged.
        weighted_ratio: The ratio with products weighted by revenue of the last year, each by at most 1 % of all.
        diebold_mariano: Statistic of the monthly differences; below 0 the challenger is better.
        diebold_mariano_p: Its two-sided p-value.
        ranked_probability: Mean scaled ranked probability scores of challenger and champion, where both forecast
            at most 100 units.
        costs: Of challenger and champion.
    """

    months: tuple[str, ...]
    levels: tuple[float, ...]
    weighted_ratio: float
    diebold_mariano: float
    diebold_mariano_p: float
    ranked_probability: tuple[float, float]
    costs: tuple[Cost, Cost]


def witnesses_of(
    tested: Backtest, origins: Sequence[int], ours: Trial, theirs: Trial, costs: tuple[Cost, Cost]
) -> Witnesses:
    """The witnesses of challenger and champion in the months at `origins` of a backtest."""
    counted = ours.counted
    months = counted.any(axis=0)
    difference = np.sum(ours.losses - theirs.losses, axis=0)[months] / np.sum(counted, axis=0)[months]
    statistic, p_value = diebold_mariano(difference)
    of_revenue = np.stack([revenue(tested.history.until(t)) for t in origins], axis=1) * counted
    weight = np.minimum(of_revenue, LARGEST_WEIGHT * of_revenue.sum(axis=0))
    bottom = float(np.sum(weight * theirs.losses))
    small = counted & (ours.actual <= COUNTED_UNITS)
    for trial in (ours, theirs):
        small = small & (trial.quantiles[..., -1] <= COUNTED_UNITS)
    return Witnesses(
        months=tuple(str(tested.history.months[t]) for t in origins),
        levels=ours.levels,
        weighted_ratio=float(np.sum(weight * ours.losses)) / bottom if bottom > 0 else float("nan"),
        diebold_mariano=statistic,
        diebold_mariano_p=p_value,
        ranked_probability=(ours.ranked_probability_score(small), theirs.ranked_probability_score(small)),
        costs=costs,
    )
