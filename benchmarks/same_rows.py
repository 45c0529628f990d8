"""Scores of next-period forecasts on rows that are the same for every model, by the protocol of the shared benchmark.

Origins are the last periods. A series counts at an origin if it has six periods, two of them with sales, a sale in
the last twelve and a known period before and at the origin. Errors are divided by the mean absolute step of the
series before the origin; rows where that is 0 do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml import metrics
from ml.evaluation import eligible
from ml.history import History

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEVELS: Final = (0.1, 0.5, 0.9)
DRAWS: Final = 1_000
CONFIDENCE: Final = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Rows:
    """Forecasts that count, origins below each other.

    Attributes:
        counted: (n, K) which they are.
        series: (m,) row in the panel.
        actual: (m,) units.
        scale: (m,) units, > 0.
        squared_scale: (m,) units squared, > 0.
    """

    counted: Mask
    series: NDArray[np.intp]
    actual: Floats
    scale: Floats
    squared_scale: Floats

    @classmethod
    def of(cls, history: History, origins: Sequence[int]) -> Rows:
        """The rows of these period indices."""
        steps = [np.diff(history.units[:, :t], axis=1) for t in origins]
        scale, squared = (np.stack([_known_mean(f(s)) for s in steps], axis=1) for f in (np.abs, np.square))
        counted = np.stack([judged(history, t) for t in origins], axis=1) & (scale > 0)
        series, _ = np.nonzero(counted)
        return cls(counted, series, history.units[:, origins][counted], scale[counted], squared[counted])


@dataclass(frozen=True, eq=False)
class Score:
    """How one model did: `Rows`, and what it said of them.

    Attributes:
        rows: What is forecast.
        point: (m,) units.
        quantiles: (m, 3) units at `LEVELS`.
    """

    rows: Rows
    point: Floats
    quantiles: Floats

    @cached_property
    def losses(self) -> Floats:
        """(m,) scaled pinball loss, the mean over `LEVELS`."""
        return metrics.scaled_pinball(self.rows.actual, self.quantiles, LEVELS, self.rows.scale)

    def figures(self) -> dict[str, float]:
        """Loss of the quantiles, errors of the point, gap, coverage and mean scaled width of the interval."""
        actual, outer = self.rows.actual, self.quantiles[:, [0, 2]]
        return {
            "spl": float(np.mean(self.losses)),
            "mase": metrics.mase(actual, self.point, self.rows.scale),
            "rmsse": metrics.rmsse(actual, self.point, self.rows.squared_scale, self.rows.series),
            "bias": metrics.bias(actual, self.point),
            "gap": metrics.calibration_gap(actual, outer, (LEVELS[0], LEVELS[2])),
            "coverage": metrics.coverage(actual, outer[:, 0], outer[:, 1]),
            "width": float(np.mean((outer[:, 1] - outer[:, 0]) / self.rows.scale)),
        }

    def ratio_to(self, other: Score) -> tuple[float, float, float]:
        """Loss over that of another model, with a 95 % interval by drawing series with replacement."""
        count = int(self.rows.series.max()) + 1
        ours, theirs = (
            np.bincount(self.rows.series, weights=s.losses, minlength=count) for s in (self, other)
        )
        drawn = np.random.default_rng(0).integers(0, count, (DRAWS, count))
        ratios = ours[drawn].sum(axis=1) / theirs[drawn].sum(axis=1)
        low, high = np.quantile(ratios, CONFIDENCE)
        return float(ours.sum() / theirs.sum()), float(low), float(high)


def judged(history: History, t: int) -> Mask:
    """(n,) series whose forecast of period index `t` counts, as far as the past can say."""
    known = ~np.isnan(history.units[:, t - 1]) & ~np.isnan(history.units[:, t])
    return eligible(history.until(t)) & known


def _known_mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean: Floats = total / np.maximum(known.sum(axis=1), 1)
    return mean
