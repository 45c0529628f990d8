"""What one candidate said of some tested months, what came, and what it cost: all that the gate looks at."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml import features, metrics
from ml.distribution import LEVELS
from ml.evaluation import Backtest
from ml.history import Floats

SPARSE_SHARE: Final = 0.85
"""With a larger share of zeros the lower levels are left out, since "nothing is sold" nearly wins there."""

SPARSE_LEVEL: Final = 0.75
MOST_RANKED: Final = 1_000
SCORED: Final = 50
_KIBIBYTE: Final = 1024

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Cost:
    """What a candidate costs.

    Attributes:
        fit_seconds: All its fits in the backtest, without what other candidates had fitted for it before.
        memory_bytes: The largest that the process has been so far.
        score_p95_seconds: Processor time to forecast one product alone, 95 of 100 times at most.
    """

    fit_seconds: float
    memory_bytes: float
    score_p95_seconds: float


@dataclass(frozen=True, eq=False)
class Trial:
    """Forecasts of K months for n products and their outcomes; what does not count is 0.

    Attributes:
        counted: (n, K) forecasts that count.
        actual: (n, K) units sold.
        mean: (n, K) expected units.
        quantiles: (n, K, 8) units at `LEVELS`.
        scale: (n, K) units that errors are divided by.
        faults: How many answers of all products on sale are missing, not finite, negative or crossing, by name.
    """

    counted: Mask
    actual: Floats
    mean: Floats
    quantiles: Floats
    scale: Floats
    faults: Mapping[str, int]

    @classmethod
    def of(cls, tested: Backtest, name: str, columns: Sequence[int]) -> Trial:
        """The trial of a candidate in the tested months at `columns`, at least one."""
        history, origins = tested.history, [tested.origins[k] for k in columns]
        predictions = [tested.predictions[name][k] for k in columns]
        actual = history.units[:, origins]
        counted = tested.eligible[:, columns] & ~np.isnan(actual)
        mean = np.stack([p.mean for p in predictions], axis=1)
        quantiles = np.stack([p.levels for p in predictions], axis=1)
        on_sale = ~np.isnan(history.units[:, [max(0, t - 1) for t in origins]])
        return cls(
            counted=counted,
            actual=np.where(counted, actual, 0.0),
            mean=np.where(counted, mean, 0.0),
            quantiles=np.where(counted[..., np.newaxis], quantiles, 0.0),
            scale=np.stack([features.scale(history.until(t)) for t in origins], axis=1),
            faults=_faults(mean[on_sale], quantiles[on_sale]),
        )

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """The levels whose loss is judged: all, or only the upper ones where nearly nothing is sold."""
        sparse = self.counted.any() and np.mean(self.actual[self.counted] == 0) > SPARSE_SHARE
        return tuple(level for level in LEVELS if not sparse or level >= SPARSE_LEVEL)

    @cached_property
    def losses(self) -> Floats:
        """(n, K) scaled pinball loss at `levels`."""
        use, made = self.counted, np.zeros(self.counted.shape)
        at = [LEVELS.index(level) for level in self.levels]
        made[use] = metrics.scaled_pinball(
            self.actual[use], self.quantiles[use][:, at], self.levels, self.scale[use]
        )
        return made

    def ranked_probability_score(self, use: Mask) -> float:
        """Mean scaled ranked probability score of some forecasts, from at most 1,000 of them; NaN without any."""
        rows = np.argwhere(use)
        rows = rows[:: 1 + len(rows) // MOST_RANKED]
        scores = [
            metrics.ranked_probability_score(self.actual[i, k], self.quantiles[i, k]) / self.scale[i, k]
            for i, k in rows
        ]
        return math.fsum(scores) / len(scores) if scores else math.nan


def cost(tested: Backtest, name: str) -> Cost:
    """What a candidate of a backtest costs, on this machine."""
    last = tested.origins[-1]
    past, totals = tested.history.until(last), tested.hindcasts.categories(last)
    model = tested.hindcasts.model(tested.candidates[name], last)
    calibration, seconds = tested.calibrations[name], []
    for i in range(0, past.n, 1 + past.n // SCORED):
        started = time.process_time()  # not the clock: it also shows what else the machine does
        alone = past.rows(np.array([i]))
        calibration.apply(alone, model.predict(alone, totals))
        seconds.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else _KIBIBYTE)
    return Cost(tested.hindcasts.seconds.get(name, 0.0), float(peak), float(np.quantile(seconds, 0.95)))


def _faults(mean: Floats, quantiles: Floats) -> dict[str, int]:
    answers = np.column_stack([mean, quantiles])
    known = np.nan_to_num(answers, posinf=0.0, neginf=0.0)
    return {
        "missing or not finite": int(np.sum(~np.isfinite(answers).all(axis=1))),
        "negative": int(np.sum((known < 0).any(axis=1))),
        "crossing": int(np.sum((np.diff(known[:, 1:], axis=1) < 0).any(axis=1))),
    }
