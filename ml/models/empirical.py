"""What the product sold in its own last year, as a distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS, Prediction, mean_of, tidy
from ml.features import SEASON, CategoryTotals, level, window
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import State, Uncertainty

Floats = NDArray[np.float64]

CLASS_MONTHS: Final = 6.0
"""Weight of the class in months: a product with six months of its own counts half."""


@dataclass(frozen=True, eq=False)
class Empirical:
    """Quantiles of the last twelve months, shrunk to the quantiles of the product's demand class.

    Attributes:
        classes: (len(CLASSES), 8) quantiles of units divided by `features.level`.
    """

    name: ClassVar[str] = "empirical"
    family: ClassVar[str] = "empirical"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "quantiles"

    classes: Floats

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:  # noqa: ARG003
        """Pool the last twelve months of each demand class."""
        recent = history.units[:, -SEASON:] / level(history)[:, np.newaxis]
        kind = demand_class(history)
        everyone = _quantiles(recent)
        pools = [recent[kind == k] for k in range(len(CLASSES))]
        known = [bool(np.any(~np.isnan(pool))) for pool in pools]
        return cls(np.stack([_quantiles(p) if ok else everyone for p, ok in zip(pools, known, strict=True)]))

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:  # noqa: ARG002
        """Own quantiles and class quantiles, weighted n : 6 for n known months of the last twelve."""
        months = window(history.units, SEASON).months
        own = np.sort(history.units[:, -SEASON:], axis=1)
        shared = self.classes[demand_class(history)] * level(history)[:, np.newaxis]
        weight, row = months / (months + CLASS_MONTHS), np.arange(history.n)
        columns = []
        for i, share in enumerate(LEVELS):
            at = np.maximum(np.ceil(share * months) - 1, 0).astype(np.intp)
            value = own[row, at]
            columns.append(weight * np.where(np.isnan(value), 0.0, value) + (1 - weight) * shared[:, i])
        quantiles = tidy(np.stack(columns, axis=1))
        return Prediction(mean_of(quantiles), quantiles)

    def state(self) -> State:
        """The class table."""
        return {"classes": self.classes}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        return cls(np.asarray(state["classes"], dtype=np.float64))


def _quantiles(values: Floats) -> Floats:
    return np.quantile(values[~np.isnan(values)], LEVELS, method="inverted_cdf")
