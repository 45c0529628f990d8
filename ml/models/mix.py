"""An average of distributions: boosted quantiles, and counts around a weighted mean of many models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.calibration import Calibration
from ml.distribution import Prediction, mean_of
from ml.features import CategoryTotals, level
from ml.hindcasts import Hindcast, Hindcasts
from ml.history import History
from ml.models.base import Servable, State, Uncertainty
from ml.models.boosting import QuantileTrees, TweedieTrees
from ml.models.ensemble import calibration_of, ensemble_state, members_of
from ml.models.intermittent import TeunterSyntetosBabai
from ml.models.smoothing import ExponentialSmoothing, MovingAverage, Naive
from ml.models.stacking import average, mean_weights
from ml.models.theta import Theta

Floats = NDArray[np.float64]

MEMBERS: Final[tuple[type[Servable], ...]] = (
    QuantileTrees,
    TweedieTrees,
    Theta,
    TeunterSyntetosBabai,
    ExponentialSmoothing,
    MovingAverage,
    Naive,
)
_CALIBRATIONS: Final = ("trees", "counts")


@dataclass(frozen=True, eq=False)
class Mix:
    """The mean of two calibrated distributions, level by level (Vincent 1912).

    One is `lightgbm_quantile`. The other is a negative binomial around a weighted mean of the members; the
    weights are non-negative and fitted to earlier forecasts with a ridge towards equal ones. Members that
    lost to `naive` in those months have no weight.

    Attributes:
        members: Fitted members with weight, `lightgbm_quantile` first.
        weights: One per member.
        calibrations: Of `lightgbm_quantile`, and of the weighted mean.
    """

    name: ClassVar[str] = "mix"
    family: ClassVar[str] = "ensemble"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "own"

    members: tuple[Servable, ...]
    weights: Floats
    calibrations: tuple[Calibration, Calibration]

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Weights and calibration from forecasts of the last months, then members on all months."""
        cached = Hindcasts.of(history, seed, hindcasts)
        past = [cached.before(member, history.T) for member in MEMBERS]
        weights = mean_weights(past, level)
        kept = [i for i, weight in enumerate(weights) if i == 0 or weight > 0]
        calibrations = (
            Calibration.fit(QuantileTrees.uncertainty, past[0]),
            Calibration.fit("counts", [_blend(month, weights) for month in zip(*past, strict=True)]),
        )
        members = tuple(cached.model(MEMBERS[i], history.T) for i in kept)
        return cls(members, weights[kept], calibrations)

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Calibrated quantiles; the mean is their integral."""
        predictions = [member.predict(history, categories) for member in self.members]
        mean = average([p.mean for p in predictions], self.weights)
        trees = self.calibrations[0].apply(history, predictions[0])
        counts = self.calibrations[1].apply(history, Prediction(mean, None))
        quantiles = 0.5 * (trees.levels + counts.levels)
        return Prediction(mean_of(quantiles), quantiles)

    def state(self) -> State:
        """Members, weights and calibrations, each under its own name."""
        named = dict(zip(_CALIBRATIONS, self.calibrations, strict=True))
        return ensemble_state(self.members, named) | {"weights": self.weights}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`.

        Raises:
            KeyError: A member is not one of `MEMBERS`.
        """
        trees, counts = (calibration_of(state, label) for label in _CALIBRATIONS)
        weights = np.asarray(state["weights"], dtype=np.float64)
        return cls(members_of(state, MEMBERS), weights, (trees, counts))


def _blend(month: Sequence[Hindcast], weights: Floats) -> Hindcast:
    mean = average([hindcast.prediction.mean for hindcast in month], weights)
    return Hindcast(month[0].history, Prediction(mean, None), month[0].actual)
