"""Forecasts as they would have been made in earlier months, each computed once.

A backtest, the calibration and the mix all ask what a candidate would have said at an earlier origin.
Features of an origin depend only on the months before it, so they are shared by all of them too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ml import features, planned
from ml.coming_month import STRENGTHS, as_coming, squared_errors
from ml.distribution import Prediction
from ml.features import CategoryTotals, category_totals
from ml.history import History
from ml.response import Response

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
        size: (m,) `planned.size`, which without a plan is the level.
        age: (m,) months from that month to the one to forecast.
    """

    features: Floats
    units: Floats
    level: Floats
    size: Floats
    age: Floats


@dataclass(frozen=True, eq=False)
class _Origin:
    """What is known of all at an origin. `response` is None without a plan."""

    categories: CategoryTotals
    response: Response | None

    @classmethod
    def of(cls, past: History) -> Self:
        return cls(category_totals(past), Response.fit(past) if past.plan else None)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What is known of each product at an origin."""

    features: Floats
    level: Floats
    size: Floats

    @classmethod
    def of(cls, past: History, origin: _Origin) -> Self:
        rows = planned.build(past, origin.categories, origin.response)
        return cls(rows, features.level(past), planned.size(past, origin.response))


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted on the months before an origin, its uncalibrated forecast, and the seconds both took."""

    model: Model
    prediction: Prediction
    seconds: float


class Fits(Protocol):
    """Fits that were made before."""

    def get(self, candidate: type[Model], t: int) -> Fit | None:
        """The fit on the months before `t`, or None."""
        ...


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


def calibration_window(products: int, *, planned: bool = False) -> int:
    """How many origins before a forecast it is calibrated from.

    With a plan as many as there may be: what is left to err is mostly what moves all products of a month, so
    months count and not products.
    """
    if planned:
        return LONGEST_WINDOW
    enough = -(-ERRORS_WANTED // max(1, products))
    return min(max(CALIBRATION_WINDOW, enough), LONGEST_WINDOW)


class Hindcasts:
    """Fitted models, forecasts and features of the beginnings of one history.

    Args:
        history: All months that any origin may see.
        seed: Of every fit.
        first: The earliest origin that forecasts are calibrated from; by default that of the last six.
        stored: Fits that other processes made.
    """

    def __init__(
        self, history: History, seed: int, first: int | None = None, stored: Fits | None = None
    ) -> None:
        self.history, self.seed, self.stored = history, seed, stored
        self.first = max(FIRST_ORIGIN, history.T - CALIBRATION_WINDOW if first is None else first)
        self.seconds: dict[str, float] = {}
        self._strength = 0.0
        self._origins: dict[int, _Origin] = {}
        self._rows: dict[int, _Rows] = {}
        self._errors: dict[int, Floats] = {}
        self._adjusted: dict[float, Hindcasts] = {}
        self._fits: dict[tuple[str, int], Fit] = {}

    @classmethod
    def of(cls, history: History, seed: int, cached: Hindcasts | None) -> Hindcasts:
        """`cached` if it belongs to a history that begins with `history`, or a new one if it is None.

        Raises:
            ValueError: The cache belongs to other data.
        """
        if cached is None:
            return cls(history, seed)
        beginning = cached.history.until(min(history.T, cached.history.T))
        same = (
            beginning.product_ids == history.product_ids
            and beginning.plan.keys() == history.plan.keys()
            and np.array_equal(beginning.months, history.months)
        )
        pairs = (
            [(beginning.units, history.units), *((beginning.plan[k], history.plan[k]) for k in history.plan)]
            if same
            else []
        )
        if not same or not all(np.array_equal(*pair, equal_nan=True) for pair in pairs):
            raise ValueError("these hindcasts belong to another history")
        return cached

    def categories(self, t: int) -> CategoryTotals:
        """Category totals of the months before origin `t`."""
        return self._at(t).categories

    def features(self, t: int) -> Floats:
        """(n, features) for month index `t`, from the months before it."""
        return self._rows_at(t).features

    def response(self, t: int) -> Response | None:
        """What the months before origin `t` say of the plan's effects; None without a plan."""
        return self._at(t).response

    def strength(self, t: int) -> float:
        """How far products followed their category in the months before `t`: which of `STRENGTHS` erred least."""
        errors = np.zeros(len(STRENGTHS))
        for origin in range(max(FIRST_ORIGIN, t - TRAINING_WINDOW), t):
            if origin not in self._errors:
                past, actual = self.history.until(origin), self.history.units[:, origin]
                self._errors[origin] = squared_errors(past, self.categories(origin), actual)
            errors = errors + self._errors[origin]
        return STRENGTHS[int(np.argmin(errors))]

    def adjusted(self, strength: float) -> Hindcasts:
        """The same with features of pasts that are adjusted by the paths of categories."""
        if strength not in self._adjusted:
            other = Hindcasts(self.history, self.seed, self.first)
            other._strength, other._origins = strength, self._origins
            self._adjusted[strength] = other
        return self._adjusted[strength]

    def training_rows(self, t: int, limit: int) -> TrainingRows:
        """Rows of the origins before `t`, of products sold before; oldest first.

        Args:
            t: Months from index `t` on are not looked at.
            limit: Of the rows, drawn with the seed from origins that hold up to `POOL` times as many.
        """
        parts: list[tuple[Floats, Floats, Floats, Floats, Floats]] = []
        for origin in range(t - 1, 0, -1):
            if t - origin > TRAINING_WINDOW and sum(len(part[1]) for part in parts) >= POOL * limit:
                break
            known = ~np.isnan(self.history.units[:, origin - 1 : origin + 1]).any(axis=1)
            at, response = self._rows_at(origin), self.response(origin)
            if response is not None:
                known &= ~response.silent(self.history.until(origin))
            age = np.full(int(known.sum()), float(t - origin))
            parts.append(
                (at.features[known], self.history.units[known, origin], at.level[known], at.size[known], age)
            )
        parts.reverse()
        if not parts:
            width = len(planned.names(planned=bool(self.history.plan)))
            return TrainingRows(np.empty((0, width)), *(np.empty(0) for _ in range(4)))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        if (rows := len(columns[1])) > limit:
            keep = np.sort(np.random.default_rng(self.seed).choice(rows, limit, replace=False))
            columns = [column[keep] for column in columns]
        return TrainingRows(*columns)

    def model(self, candidate: type[Candidate], t: int) -> Candidate:
        """The candidate fitted on the months before `t`."""
        return cast("Candidate", self._fit(candidate, t).model)

    def prediction(self, candidate: type[Model], t: int) -> Prediction:
        """Its uncalibrated forecast of month index `t` for every product."""
        return self._fit(candidate, t).prediction

    def before(self, candidate: type[Model], t: int) -> Sequence[Hindcast]:
        """What calibrates a forecast for `t`: the hindcasts of `calibration_window` origins before it.

        None for a model that calibrates itself.
        """
        if candidate.uncertainty == "own":
            return []
        window = calibration_window(self.history.n, planned=bool(self.history.plan))
        return [
            Hindcast(self.history.until(u), self.prediction(candidate, u), self.history.units[:, u])
            for u in range(max(self.first, t - window), t)
        ]

    def _at(self, t: int) -> _Origin:
        if t not in self._origins:
            self._origins[t] = _Origin.of(self.history.until(t))
        return self._origins[t]

    def _rows_at(self, t: int) -> _Rows:
        if t not in self._rows:
            past = as_coming(self.history.until(t), self.categories(t), self._strength)
            self._rows[t] = _Rows.of(past, self._at(t))
        return self._rows[t]

    def _fit(self, candidate: type[Model], t: int) -> Fit:
        key = (candidate.name, t)
        if key not in self._fits:
            fit = self.stored.get(candidate, t) if self.stored else None
            self._fits[key] = fit or self.fit(candidate, t)
            spent = self._fits[key].seconds
            self.seconds[candidate.name] = self.seconds.get(candidate.name, 0.0) + spent
        return self._fits[key]

    def fit(self, candidate: type[Model], t: int) -> Fit:
        """The candidate fitted anew on the months before `t`."""
        started = time.perf_counter()
        past = self.history.until(t)
        model = candidate.fit(past, self.seed, self)
        prediction = model.predict(past, self.categories(t))
        return Fit(model, prediction, time.perf_counter() - started)
