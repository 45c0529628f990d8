"""Histogram gradient boosting of the mean (scikit-learn), kept and predicted as arrays.

Grown where scikit-learn is, in `ml.models.histogram_growth`; a forecast service reads the arrays and needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml import features
from ml.distribution import Prediction
from ml.features import CategoryTotals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import State, Uncertainty

Floats = NDArray[np.float64]

ROWS_AT_ONCE: Final = 4096
"""Rows that go down a tree together: their values and places stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Regression trees as arrays over all their nodes; a leaf has itself as both children.

    Attributes:
        start: () value before the first tree.
        roots: (trees,) first node of each.
        depth: () steps from a root to the deepest leaf.
        feature: (nodes,) column that is compared.
        threshold: (nodes,) rows up to it go left.
        missing: (nodes,) 1 where an unknown value goes left.
        children: (nodes, 2) left and right.
        value: (nodes,) of a leaf.
    """

    start: Floats
    roots: NDArray[np.int64]
    depth: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    missing: NDArray[np.int64]
    children: NDArray[np.int64]
    value: Floats

    def __call__(self, rows: Floats) -> Floats:
        """(n,) start plus the leaves of each row, added up tree by tree."""
        parts = [self._of(rows[k : k + ROWS_AT_ONCE]) for k in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate([np.empty(0), *parts])

    def state(self) -> State:
        """The arrays by name."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""

        def whole(name: str) -> NDArray[np.int64]:
            return np.asarray(state[name], dtype=np.int64)

        def numbers(name: str) -> Floats:
            return np.asarray(state[name], dtype=np.float64)

        return cls(
            start=numbers("start"),
            roots=whole("roots"),
            depth=whole("depth"),
            feature=whole("feature"),
            threshold=numbers("threshold"),
            missing=whole("missing"),
            children=whole("children"),
            value=numbers("value"),
        )

    def _of(self, rows: Floats) -> Floats:
        total, first = np.full(len(rows), float(self.start)), np.arange(len(rows)) * rows.shape[1]
        unknown, values = np.isnan(rows).reshape(-1), rows.reshape(-1)
        children = self.children.reshape(-1)
        for root in self.roots:
            node = np.full(len(rows), root)
            for _ in range(int(self.depth)):
                at = first + self.feature[node]
                left = (values[at] <= self.threshold[node]) | (unknown[at] & (self.missing[node] > 0))
                node = children[2 * node + ~left]
            total = total + self.value[node]
        return total


@dataclass(frozen=True, eq=False)
class HistogramTrees:
    """One boosted model of the mean under Poisson loss, with a negative binomial around it."""

    name: ClassVar[str] = "histogram_poisson"
    family: ClassVar[str] = "boosting"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "counts"

    forest: Forest

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Poisson deviance of units divided by the level, weighted by its root.

        Raises:
            NotEnoughHistory: No product has a month to learn from after its first.
        """
        growth = import_module("ml.models.histogram_growth")  # not a part of the image that serves
        return cls(growth.mean_of_units(history, seed, hindcasts))

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Mean units."""
        rows, size = features.build(history, categories), features.level(history)
        return Prediction(np.exp(self.forest(rows)) * size, None)

    def state(self) -> State:
        """The arrays of the forest."""
        return self.forest.state()

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        return cls(Forest.from_state(state))
