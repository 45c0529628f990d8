"""What products sell in their first months, when they have hardly a history of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.demand_class import NEW, demand_class
from ml.distribution import LEVELS, Prediction, mean_of
from ml.features import window
from ml.hindcasts import Hindcast
from ml.history import History

Floats = NDArray[np.float64]

COLD_MONTHS: Final = 3
"""From so many months on a product stands for itself."""

COLD_WEIGHT: Final = 2.0
"""Weight of the category in months: a product with two months of its own counts half."""

CATEGORY_WEIGHT: Final = 20.0
"""Weight of all categories in forecasts: a category with twenty new products counts half."""


@dataclass(frozen=True, eq=False)
class Newcomers:
    """Units that products sold in their second to sixth month.

    Attributes:
        categories: Names of the rows of `quantiles`.
        quantiles: (categories + 1, 8) units at `LEVELS`; the last row is for any other category.
    """

    categories: tuple[str, ...]
    quantiles: Floats

    @classmethod
    def fit(cls, past: Sequence[Hindcast]) -> Self:
        """Quantiles of the outcomes by category, shrunk to those of all; zeros where no product was new."""
        units, category = np.empty(0), []
        for hindcast in past:
            young = (demand_class(hindcast.history) == NEW) & ~np.isnan(hindcast.actual)
            units = np.concatenate([units, hindcast.actual[young]])
            category += [hindcast.history.categories[i] for i in np.flatnonzero(young)]
        if not len(units):
            return cls((), np.zeros((1, len(LEVELS))))
        everyone = np.quantile(units, LEVELS)
        names, label = tuple(sorted(set(category))), np.array(category)
        return cls(names, np.stack([*(_shrunk(units[label == name], everyone) for name in names), everyone]))

    def mixed_into(self, prediction: Prediction, history: History) -> Prediction:
        """The prediction, averaged with the category's quantiles for products of fewer than three months.

        A product of n months counts n : 2, one that never sold is its category.
        """
        months = window(history.units, history.T).months
        own = np.where(months < COLD_MONTHS, months / (months + COLD_WEIGHT), 1.0)
        position = {name: i for i, name in enumerate(self.categories)}
        code = np.array([position.get(name, len(position)) for name in history.categories], dtype=np.intp)
        start = self.quantiles[code]
        quantiles = own[:, np.newaxis] * prediction.levels + (1 - own[:, np.newaxis]) * start
        return Prediction(own * prediction.mean + (1 - own) * mean_of(start), quantiles)


def _shrunk(units: Floats, everyone: Floats) -> Floats:
    weight = len(units) / (len(units) + CATEGORY_WEIGHT)
    shrunk: Floats = weight * np.quantile(units, LEVELS) + (1 - weight) * everyone
    return shrunk
