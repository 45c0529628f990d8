"""Forecasts as they would have been made in earlier months, each computed once.

A backtest, the calibration and the mix all ask what a candidate would have said at an earlier origin.
Features of an origin depend only on the months before it, so they are shared by all of them too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ml import features
from ml.distribution import Prediction
from ml.features import CategoryTotals, category_totals
from ml.history import History

if TYPE_CHECKING:
    from ml.models.base import Model

    Candidate = TypeVar("Candidate", bound=Model)

Floats = NDArray[np.float64]

FIRST_ORIGIN: Final = 2
"""The earliest month index a forecast is made for: training needs one month before and one to learn from."""

CALIBRATION_WINDOW: Final = 6
LONGEST_WINDOW: Final = 24
ERRORS_WANTED: Final = 4_000
"""Residuals come from six origins before the forecast, or from up to 24 where so many errors need more."""

TRAINING_WINDOW: Final = 24
"""Models over all products draw their rows from at least so many origins."""

POOL: Final = 10
"""They draw from more origins as long as those hold no more than so many times the rows that are drawn."""


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """One row per product and earlier origin.

    Attributes:
        features: (m, features).
        units: (m,) of the month after.
        level: (m,) `features.level`.
        age: (m,) months from that month to the one to forecast.
    """

    features: Floats
    units: Floats
    level: Floats
    age: Floats


@dataclass(frozen=True, eq=False)
class Hindcast:
    """What was known at an origin, what was forecast and what came; `actual` is (n,), NaN if unknown."""

    history: History
    prediction: Prediction
    actual: Floats

    @property
    def settled(self) -> NDArray[np.bool_]:
        """(n,) products with a month before and a known outcome."""
        return ~(np.isnan(self.actual) | np.isnan(self.history.units[:, -1]))


def calibration_window(products: int) -> int:
    """How many origins before a forecast it is calibrated from."""
    enough = -(-ERRORS_WANTED // max(1, products))
    return min(max(CALIBRATION_WINDOW, enough), LONGEST_WINDOW)


class Hindcasts:
    """Fitted models, forecasts and features of the beginnings of one history.

    Args:
        history: All months that any origin may see.
        seed: Of every fit.
        first: The earliest origin that forecasts are calibrated from; by default that of the last six.
    """

    def __init__(self, history: History, seed: int, first: int | None = None) -> None:
        self.history, self.seed = history, seed
        self.first = max(FIRST_ORIGIN, history.T - CALIBRATION_WINDOW if first is None else first)
        self.seconds: dict[str, float] = {}
        self._features: dict[int, tuple[CategoryTotals, Floats, Floats]] = {}
        self._fits: dict[tuple[str, int], tuple[Model, Prediction]] = {}

    @classmethod
    def of(cls, history: History, seed: int, cached: Hindcasts | None) -> Hindcasts:
        """`cached` if it belongs to a history that begins with `history`, or a new one if it is None.

        Raises:
            ValueError: The cache belongs to other data.
        """
        if cached is None:
            return cls(history, seed)
        beginning = cached.history.until(min(history.T, cached.history.T))
        same = beginning.product_ids == history.product_ids and np.array_equal(
            beginning.months, history.months
        )
        if not same or not np.array_equal(beginning.units, history.units, equal_nan=True):
            raise ValueError("these hindcasts belong to another history")
        return cached

    def categories(self, t: int) -> CategoryTotals:
        """Category totals of the months before origin `t`."""
        return self._at(t)[0]

    def features(self, t: int) -> Floats:
        """(n, features) for month index `t`, from the months before it."""
        return self._at(t)[1]

    def training_rows(self, t: int, limit: int) -> TrainingRows:
        """Rows of the origins before `t`, of products sold before; oldest first.

        Args:
            t: Months from index `t` on are not looked at.
            limit: Of the rows, drawn with the seed from origins that hold up to `POOL` times as many.
        """
        parts: list[tuple[Floats, Floats, Floats, Floats]] = []
        for origin in range(t - 1, 0, -1):
            if t - origin > TRAINING_WINDOW and sum(len(part[1]) for part in parts) >= POOL * limit:
                break
            known = ~np.isnan(self.history.units[:, origin - 1 : origin + 1]).any(axis=1)
            _, rows, level = self._at(origin)
            age = np.full(int(known.sum()), float(t - origin))
            parts.append((rows[known], self.history.units[known, origin], level[known], age))
        parts.reverse()
        if not parts:
            return TrainingRows(np.empty((0, len(features.FEATURES))), *(np.empty(0),) * 3)
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        count = len(columns[1])
        if count > limit:
            keep = np.sort(np.random.default_rng(self.seed).choice(count, limit, replace=False))
            columns = [column[keep] for column in columns]
        return TrainingRows(*columns)

    def model(self, candidate: type[Candidate], t: int) -> Candidate:
        """The candidate fitted on the months before `t`."""
        return cast("Candidate", self._fit(candidate, t)[0])

    def prediction(self, candidate: type[Model], t: int) -> Prediction:
        """Its uncalibrated forecast of month index `t` for every product."""
        return self._fit(candidate, t)[1]

    def before(self, candidate: type[Model], t: int) -> Sequence[Hindcast]:
        """What calibrates a forecast for `t`: the hindcasts of `calibration_window` origins before it.

        None for a model that calibrates itself.
        """
        if candidate.uncertainty == "own":
            return []
        return [
            Hindcast(self.history.until(u), self.prediction(candidate, u), self.history.units[:, u])
            for u in range(max(self.first, t - calibration_window(self.history.n)), t)
        ]

    def _at(self, t: int) -> tuple[CategoryTotals, Floats, Floats]:
        if t not in self._features:
            past = self.history.until(t)
            totals = category_totals(past)
            self._features[t] = (totals, features.build(past, totals), features.level(past))
        return self._features[t]

    def _fit(self, candidate: type[Model], t: int) -> tuple[Model, Prediction]:
        key = (candidate.name, t)
        if key not in self._fits:
            started = time.perf_counter()
            past = self.history.until(t)
            model = candidate.fit(past, self.seed, self)
            self._fits[key] = (model, model.predict(past, self.categories(t)))
            spent = time.perf_counter() - started
            self.seconds[candidate.name] = self.seconds.get(candidate.name, 0.0) + spent
        return self._fits[key]
