"""The recipe many shops start with, as a yardstick: it is measured beside the candidates and never promoted.

One boosted model of squared error on raw units pooled over all products, on lags 1 to 3, rolling mean and
deviation, momentum, category share and growth, and the month as sine and cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ml.distribution import Prediction
from ml.errors import NotEnoughHistory
from ml.features import FEATURES, CategoryTotals, build, level
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models import CANDIDATES
from ml.models.base import Model, Uncertainty

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

    trees: Any

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Squared error; no product counts more than another, so large ones decide.

        Raises:
            NotEnoughHistory: No product has a month to learn from after its first.
        """
        rows = Hindcasts.of(history, seed, hindcasts).training_rows(history.T, TRAINING_ROWS)
        if not len(rows.units):
            raise NotEnoughHistory(f"{history.T} months of history hold no month to learn from, 2 are needed")
        trees = HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.1, max_leaf_nodes=31, early_stopping=False, random_state=seed
        )
        with threadpool_limits(1):
            return cls(trees.fit(_raw(rows.features, rows.level), rows.units))

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Mean units, at least 0."""
        with threadpool_limits(1):
            mean = self.trees.predict(_raw(build(history, categories), level(history)))
        return Prediction(np.maximum(mean, 0.0), None)


def _raw(rows: Floats, size: Floats) -> Floats:
    raw = np.concatenate([rows[:, _VOLUMES] * size[:, np.newaxis], rows[:, _SHARES]], axis=1)
    return np.where(np.isnan(raw), 0.0, raw)


BENCHMARK: Final[dict[str, type[Model]]] = {**CANDIDATES, SeedRecipe.name: SeedRecipe}
"""All candidates and the yardstick."""
