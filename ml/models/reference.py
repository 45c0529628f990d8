"""The recipe many shops start with, as a yardstick: it is measured beside the candidates and never promoted.

One boosted model of squared error on raw units pooled over all products, on lags 1 to 3, rolling mean and
deviation, momentum, category share and growth, and the month as sine and cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import Prediction
from ml.features import FEATURES, CategoryTotals, build, level
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models import CANDIDATES
from ml.models.base import Model, Uncertainty
from ml.models.boosting import learned
from ml.models.histogram import Forest
from ml.models.histogram_growth import grow

Floats = NDArray[np.float64]

VOLUMES: Final = ("lag_1", "lag_2", "lag_3", "mean_3", "deviation_3", "momentum")
SHARES: Final = ("category_share", "category_growth", "month_sin", "month_cos")
TRAINING_ROWS: Final = 25_000
_VOLUMES: Final = [FEATURES.index(name) for name in VOLUMES]
_SHARES: Final = [FEATURES.index(name) for name in SHARES]


@dataclass(frozen=True, eq=False)
class SeedRecipe:
    """Pooled gradient boosting on raw units."""

    name: ClassVar[str] = "seed_recipe"
    family: ClassVar[str] = "reference"
    promotable: ClassVar[bool] = False
    uncertainty: ClassVar[Uncertainty] = "residuals"

    trees: Forest

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Squared error; no product counts more than another, so large ones decide.

        Raises:
            NotEnoughHistory: No product has a month to learn from after its first.
        """
        rows = learned(Hindcasts.of(history, seed, hindcasts), history.T, TRAINING_ROWS)
        return cls(
            grow(
                _raw(rows.features, rows.level),
                rows.units,
                None,
                max_iter=100,
                learning_rate=0.1,
                max_leaf_nodes=31,
                early_stopping=False,
                random_state=seed,
            )
        )

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Mean units, at least 0."""
        mean = self.trees(_raw(build(history, categories), level(history)))
        return Prediction(np.maximum(mean, 0.0), None)


def _raw(rows: Floats, size: Floats) -> Floats:
    raw = np.concatenate([rows[:, _VOLUMES] * size[:, np.newaxis], rows[:, _SHARES]], axis=1)
    return np.where(np.isnan(raw), 0.0, raw)


BENCHMARK: Final[dict[str, type[Model]]] = {**CANDIDATES, SeedRecipe.name: SeedRecipe}
"""All candidates and the yardstick."""
