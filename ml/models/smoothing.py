"""Point forecasts from a product's own last months; nothing is learned across products."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import Prediction
from ml.features import CategoryTotals, lag, window
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import State, Uncertainty

Floats = NDArray[np.float64]

WEIGHTS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class PointModel(ABC):
    """Base of models without fitted values: the forecast is a function of the product's own history."""

    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "residuals"

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:  # noqa: ARG003
        """Nothing to fit."""
        return cls()

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:  # noqa: ARG002
        """Point forecast; 0 for a product that never sold."""
        return Prediction(np.nan_to_num(self.point(history)), None)

    @abstractmethod
    def point(self, history: History) -> Floats:
        """(n,) expected units; may be NaN where nothing is known."""
        ...

    def state(self) -> State:
        """Empty."""
        return {}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:  # noqa: ARG003
        """From nothing."""
        return cls()


class Naive(PointModel):
    """The last month again."""

    name: ClassVar[str] = "naive"
    family: ClassVar[str] = "baseline"

    def point(self, history: History) -> Floats:
        """The last month."""
        return lag(history.units, 1)


class SeasonalNaive(PointModel):
    """The same month of last year; the last month for a product younger than that."""

    name: ClassVar[str] = "seasonal_naive"
    family: ClassVar[str] = "baseline"

    def point(self, history: History) -> Floats:
        """The month one season before."""
        year_ago = lag(history.units, history.season)
        return np.where(np.isnan(year_ago), lag(history.units, 1), year_ago)


class MovingAverage(PointModel):
    """The mean of the last three months."""

    name: ClassVar[str] = "ma3"
    family: ClassVar[str] = "baseline"

    def point(self, history: History) -> Floats:
        """The mean of up to three months."""
        return window(history.units, 3).mean


class ExponentialSmoothing(PointModel):
    """Simple exponential smoothing (Brown 1956), its weight chosen per product."""

    name: ClassVar[str] = "ses"
    family: ClassVar[str] = "smoothing"

    def point(self, history: History) -> Floats:
        """The smoothed level."""
        return smooth(history.units)[0]


def smooth(values: Floats) -> tuple[Floats, Floats]:
    """Level after the last column, and the weight with the smallest squared one-step error in the sample.

    Starts at the first known value; of equal weights the smallest wins.

    Args:
        values: (n, T), NaN before the start of a row.

    Returns:
        Two (n,) arrays; the level is NaN where nothing is known.
    """
    weights = np.array(WEIGHTS)
    levels = np.full((values.shape[0], len(weights)), np.nan)
    errors = np.zeros(levels.shape)
    for t in range(values.shape[1]):
        value = values[:, t, np.newaxis]
        step = np.where(np.isnan(value) | np.isnan(levels), 0.0, value - levels)
        errors = errors + step * step
        levels = np.where(np.isnan(levels), value, levels + weights * step)
    best = np.argmin(errors, axis=1)
    return levels[np.arange(len(best)), best], weights[best]
