"""Ways to a distribution, averaged: boosted quantiles, counts, residuals and the product's own months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Calibration
from ml.demand_class import CLASSES, demand_class
from ml.distribution import Prediction, mean_of, tidy
from ml.features import CategoryTotals, scale
from ml.hindcasts import Hindcast, Hindcasts
from ml.history import History
from ml.models.adjusted import (
    AdjustedDiscountedMean,
    AdjustedEmpirical,
    AdjustedQuantileTrees,
    AdjustedTweedieTrees,
)
from ml.models.base import Servable, State, Uncertainty
from ml.models.boosting import QuantileTrees, TweedieTrees, response_of, response_state
from ml.models.damped import DampedTrend
from ml.models.empirical import Empirical
from ml.models.ensemble import calibration_of, ensemble_state, members_of
from ml.models.intermittent import TeunterSyntetosBabai
from ml.models.planned import (
    PlannedDampedTrend,
    PlannedEmpirical,
    PlannedExponentialSmoothing,
    PlannedMovingAverage,
    PlannedTeunterSyntetosBabai,
    PlannedTheta,
)
from ml.models.smoothing import ExponentialSmoothing, MovingAverage, Naive
from ml.models.stacking import average, level_shares, levelled, mean_weights, usual_units
from ml.models.theta import Theta
from ml.response import Response

Floats = NDArray[np.float64]

MEMBERS: Final[tuple[type[Servable], ...]] = (
    AdjustedQuantileTrees,
    Empirical,
    AdjustedEmpirical,
    AdjustedTweedieTrees,
    AdjustedDiscountedMean,
    DampedTrend,
    Theta,
    TeunterSyntetosBabai,
    ExponentialSmoothing,
    MovingAverage,
    Naive,
)
"""All are part of the mean; those with quantiles are distributions of their own, the trees first. Naive, the
yardstick, is last."""

PLANNED_MEMBERS: Final[tuple[type[Servable], ...]] = (
    QuantileTrees,
    PlannedEmpirical,
    TweedieTrees,
    PlannedDampedTrend,
    PlannedTheta,
    PlannedTeunterSyntetosBabai,
    PlannedExponentialSmoothing,
    PlannedMovingAverage,
    Naive,
)
"""In their place where there is a plan."""

PARTS: Final[Mapping[str, Uncertainty]] = {
    "trees": "quantiles",
    "counts": "product_counts",
    "residuals": "residuals",
}
"""The distributions that are calibrated, and how; those of products' own months stay as they are."""


def start(own: int) -> Floats:
    """Shares before any evidence: each of `PARTS`, and distributions of own months together, weigh the same."""
    return np.array([1.0] * len(PARTS) + [1.0 / own] * own) / (len(PARTS) + 1)


_LAST: Final = "last"

_COUNTED: Final = CLASSES.index("intermittent")
"""From this class on demand is too rare for residuals, and counts take their place."""


@dataclass(frozen=True, eq=False)
class Blend:
    """The average of five distributions, level by level (Vincent 1912), calibrated.

    Calibrated `lightgbm_quantile` in the season of the category; a negative binomial, and past residuals, around a
    weighted mean of all members; `empirical` as it was and in that season. With a plan trees and `empirical` see that
    instead, and distributions are four. The weights of members have the least squared error, and the shares of the
    distributions a small pinball loss, in forecasts of earlier months. The expected units are the weighted mean.

    Attributes:
        members: Fitted members with weight; those that are distributions first.
        weights: One per member, of the mean.
        calibrations: One per name in `PARTS`.
        shares: Of `PARTS` and then of own months in the average.
        last: Calibration of the average.
        response: Of demand to the plan; None without one.
    """

    name: ClassVar[str] = "blend"
    family: ClassVar[str] = "ensemble"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "own"

    members: tuple[Servable, ...]
    weights: Floats
    calibrations: tuple[Calibration, ...]
    shares: Floats
    last: Calibration
    response: Response | None = None

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Weights, shares and calibrations from forecasts of the last months, then members on all months."""
        cached = Hindcasts.of(history, seed, hindcasts)
        candidates = PLANNED_MEMBERS if history.plan else MEMBERS
        past = [_told(cached, cached.before(member, history.T)) for member in candidates]
        weights = levelled(mean_weights(past, usual_units))
        leading = sum(member.uncertainty == "quantiles" for member in candidates)
        kept = [i for i, weight in enumerate(weights) if i < leading or weight > 0]
        months = [
            _Month.of(hindcasts, weights, leading, cached.response(hindcasts[0].history.T))
            for hindcasts in zip(*past, strict=True)
        ]
        calibrations = tuple(
            Calibration.fit(kind, [month.part(name) for month in months]) for name, kind in PARTS.items()
        )
        parts = [_parts(month, calibrations) for month in months]
        shares = _shares(months, parts, start(leading - 1), seed)
        blended = [
            Hindcast(month.history, Prediction(month.mean, tidy(average(levels, shares))), month.actual)
            for month, levels in zip(months, parts, strict=True)
        ]
        members = tuple(cached.model(candidates[i], history.T) for i in kept)
        last = Calibration.fit("quantiles", blended)
        return cls(members, weights[kept], calibrations, shares, last, cached.response(history.T))

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Calibrated quantiles around the weighted mean."""
        predictions = [member.predict(history, categories) for member in self.members]
        mean = average([p.mean for p in predictions], self.weights)
        past = _as_planned(history, self.response)
        own = predictions[1 : 1 + len(self.shares) - len(PARTS)]
        month = _Month(past, mean, predictions[0], own, np.full(history.n, np.nan), scale(history))
        levels = tidy(average(_parts(month, self.calibrations), self.shares))
        quantiles = self.last.quantiles(past, Prediction(mean, levels))
        if self.response is not None:
            silent = self.response.silent(history)
            quantiles[silent] = self.response.silent_quantiles(history)[silent]
            mean = np.where(silent, mean_of(quantiles), mean)
        return self.last.newcomers.mixed_into(Prediction(mean, quantiles), history)

    def state(self) -> State:
        """Members, weights, shares and calibrations, each under its own name."""
        named = dict(zip((*PARTS, _LAST), (*self.calibrations, self.last), strict=True))
        fitted = {"weights": self.weights, "shares": self.shares}
        return ensemble_state(self.members, named) | fitted | response_state(self.response)

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`.

        Raises:
            KeyError: A member is not one of `MEMBERS` or `PLANNED_MEMBERS`.
        """
        *parts, last = (calibration_of(state, label) for label in (*PARTS, _LAST))
        weights, shares = (np.asarray(state[name], dtype=np.float64) for name in ("weights", "shares"))
        members = members_of(state, (*MEMBERS, *PLANNED_MEMBERS))
        return cls(members, weights, tuple(parts), shares, last, response_of(state))


@dataclass(frozen=True, eq=False)
class _Month:
    """What members say of the month after a history, and what came (NaN where that is unknown).

    With a plan the history is as it would have been with that of the month; `scale` is that of what was.
    """

    history: History
    mean: Floats
    trees: Prediction
    own: Sequence[Prediction]
    actual: Floats
    scale: Floats

    @classmethod
    def of(
        cls, hindcasts: Sequence[Hindcast], weights: Floats, leading: int, response: Response | None
    ) -> Self:
        """From one hindcast per member, of which the leading ones are distributions, the trees first."""
        mean = average([h.prediction.mean for h in hindcasts], weights)
        first, own = hindcasts[0], [h.prediction for h in hindcasts[1:leading]]
        past = _as_planned(first.history, response)
        return cls(past, mean, first.prediction, own, first.actual, scale(first.history))

    def prediction(self, name: str) -> Prediction:
        """One of `PARTS` before its calibration."""
        return self.trees if name == "trees" else Prediction(self.mean, None)

    def part(self, name: str) -> Hindcast:
        """The same as a hindcast, to calibrate from."""
        return Hindcast(self.history, self.prediction(name), self.actual)


def _told(cached: Hindcasts, past: Sequence[Hindcast]) -> list[Hindcast]:
    """Hindcasts without the outcomes of months that are silent for want of a plan: they teach nothing else."""
    told = []
    for hindcast in past:
        response = cached.response(hindcast.history.T)
        silent = np.False_ if response is None else response.silent(hindcast.history)
        told.append(replace(hindcast, actual=np.where(silent, np.nan, hindcast.actual)))
    return told


def _as_planned(history: History, response: Response | None) -> History:
    return history if response is None else response.as_planned(history)


def _parts(month: _Month, calibrations: Sequence[Calibration]) -> list[Floats]:
    """(n, 8) quantiles of each of `PARTS` and of own months; rare demand has counts instead of residuals."""
    trees, counts, residuals = (
        calibration.quantiles(month.history, month.prediction(name))
        for name, calibration in zip(PARTS, calibrations, strict=True)
    )
    rare = demand_class(month.history) >= _COUNTED
    residuals = np.where(rare[:, np.newaxis], counts, residuals)
    return [trees, counts, residuals, *(own.levels for own in month.own)]


def _shares(months: Sequence[_Month], parts: Sequence[Sequence[Floats]], before: Floats, seed: int) -> Floats:
    if not months:
        return before
    use = [month.part("trees").settled for month in months]
    levels = [np.concatenate([p[i][u] for p, u in zip(parts, use, strict=True)]) for i in range(len(before))]
    actual = np.concatenate([month.actual[u] for month, u in zip(months, use, strict=True)])
    scales = np.concatenate([month.scale[u] for month, u in zip(months, use, strict=True)])
    return level_shares(np.stack(levels), actual, scales, before, seed)
