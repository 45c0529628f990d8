"""Models that share the season of their category: the past is what it would have been in the coming month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ml.coming_month import as_coming
from ml.distribution import Prediction
from ml.features import CategoryTotals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import Servable, State, Uncertainty
from ml.models.boosting import QuantileTrees, TweedieTrees
from ml.models.discounted import DiscountedMean
from ml.models.empirical import Empirical
from ml.models.ensemble import section


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Another model, on the past as it would have been in the coming month of its category.

    Attributes:
        strength: How far products follow their category, see `ml.coming_month.as_coming`.
        model: Fitted to such a past.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty]
    inner: ClassVar[type[Servable]]

    strength: float
    model: Servable

    def __init_subclass__(cls, inner: type[Servable] | None = None) -> None:
        super().__init_subclass__()
        if inner is not None:
            cls.name, cls.inner = f"adjusted_{inner.name}", inner
            cls.family, cls.uncertainty = inner.family, inner.uncertainty

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """The strength that served best in earlier months, then the model."""
        cached = Hindcasts.of(history, seed, hindcasts)
        strength = cached.strength(history.T)
        return cls(strength, cls.model_of(history, seed, cached, strength))

    @classmethod
    def model_of(cls, history: History, seed: int, cached: Hindcasts, strength: float) -> Servable:
        """The model fitted on the adjusted past."""
        return cls.inner.fit(as_coming(history, cached.categories(history.T), strength), seed)

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Forecast from the adjusted past."""
        return self.model.predict(as_coming(history, categories, self.strength), categories)

    def state(self) -> State:
        """The strength and the model's state."""
        model = {f"model/{key}": value for key, value in self.model.state().items()}
        return {"strength": np.array(self.strength)} | model

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        strength = float(np.asarray(state["strength"], dtype=np.float64))
        return cls(strength, cls.inner.from_state(section(state, "model/")))


class AdjustedTrees(Adjusted):
    """Trees, whose every training row is adjusted to the month that it is about."""

    @classmethod
    def model_of(cls, history: History, seed: int, cached: Hindcasts, strength: float) -> Servable:
        """The trees grown on adjusted rows."""
        return cls.inner.fit(history, seed, cached.adjusted(strength))


class AdjustedQuantileTrees(AdjustedTrees, inner=QuantileTrees):
    """Boosted quantiles of adjusted features and units."""


class AdjustedTweedieTrees(AdjustedTrees, inner=TweedieTrees):
    """The boosted mean of adjusted features and units."""


class AdjustedEmpirical(Adjusted, inner=Empirical):
    """Quantiles of the last twelve months as the coming one."""


class AdjustedDiscountedMean(Adjusted, inner=DiscountedMean):
    """Discounted means of the past as the coming month."""
