"""Models of a product's own past that see the plan: the past is what it would have been with the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import Prediction
from ml.features import CategoryTotals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import Servable, State, Uncertainty
from ml.models.damped import DampedTrend
from ml.models.empirical import Empirical
from ml.models.ensemble import section
from ml.models.intermittent import TeunterSyntetosBabai
from ml.models.smoothing import ExponentialSmoothing, MovingAverage
from ml.models.theta import Theta
from ml.response import Response


@dataclass(frozen=True, eq=False)
class Planned:
    """Another model, on the past as it would have been with the plan of the next month."""

    name: ClassVar[str]
    family: ClassVar[str]
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty]
    inner: ClassVar[type[Servable]]

    response: Response
    model: Servable

    def __init_subclass__(cls, inner: type[Servable]) -> None:
        super().__init_subclass__()
        cls.name, cls.inner = f"planned_{inner.name}", inner
        cls.family, cls.uncertainty = inner.family, inner.uncertainty

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """The response of all products, then the model on the past under the next plan."""
        response = Hindcasts.of(history, seed, hindcasts).response(history.T) or Response.fit(history)
        return cls(response, cls.inner.fit(response.as_planned(history), seed))

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Forecast from the past under the next plan."""
        return self.model.predict(self.response.as_planned(history), categories)

    def state(self) -> State:
        """Both parts, each under its own name."""
        parts = {"response": self.response.state(), "model": self.model.state()}
        return {f"{part}/{key}": value for part, state in parts.items() for key, value in state.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        response = Response.from_state(section(state, "response/"))
        return cls(response, cls.inner.from_state(section(state, "model/")))


class PlannedEmpirical(Planned, inner=Empirical):
    """Quantiles of the last twelve months under the next plan."""


class PlannedDampedTrend(Planned, inner=DampedTrend):
    """Damped trend of the past under the next plan."""


class PlannedTheta(Planned, inner=Theta):
    """Theta of the past under the next plan."""


class PlannedTeunterSyntetosBabai(Planned, inner=TeunterSyntetosBabai):
    """TSB of the past under the next plan."""


class PlannedExponentialSmoothing(Planned, inner=ExponentialSmoothing):
    """Exponential smoothing of the past under the next plan."""


class PlannedMovingAverage(Planned, inner=MovingAverage):
    """Mean of the last three months under the next plan."""
