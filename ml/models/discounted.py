"""Means of all months in which older ones count less, many at once and averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import Prediction
from ml.features import CategoryTotals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import State, Uncertainty

Floats = NDArray[np.float64]

DISCOUNTS: Final = (0.3, 0.5, 0.7, 0.85, 0.92, 0.97, 1.0)
"""Weight of a month over that of the next; with 1 all count the same."""

ROUNDS: Final = 20
"""Of expectation and maximisation; shares are steady long before."""


@dataclass(frozen=True, eq=False)
class DiscountedMean:
    """Discounted means (Brown 1963), averaged per product by their likelihood and by how many products they suit.

    A product with few months cannot tell one discount from another, but all products can: their shares are the
    prior of each (empirical Bayes, Robbins 1956). Unlike in exponential smoothing the first month has no
    weight beyond its own.

    Attributes:
        shares: (discounts,) of the products that each suits, one more product for each; they add up to 1.
    """

    name: ClassVar[str] = "discounted_mean"
    family: ClassVar[str] = "smoothing"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "product_counts"

    shares: Floats

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:  # noqa: ARG003
        """Shares of the greatest likelihood (Dempster, Laird and Rubin 1977)."""
        _, likelihood = _means(history.units)
        shares = np.full(len(DISCOUNTS), 1 / len(DISCOUNTS))
        for _ in range(ROUNDS):
            suited = _posterior(likelihood, shares).sum(axis=0)
            shares = (suited + 1.0) / (history.n + len(DISCOUNTS))
        return cls(shares)

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:  # noqa: ARG002
        """The average of the means; 0 for a product that never sold."""
        means, likelihood = _means(history.units)
        weights, total = _posterior(likelihood, self.shares), np.zeros(history.n)
        for i in range(len(DISCOUNTS)):
            total = total + weights[:, i] * means[:, i]
        return Prediction(np.nan_to_num(total), None)

    def state(self) -> State:
        """The shares."""
        return {"shares": self.shares}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        return cls(np.asarray(state["shares"], dtype=np.float64))


def _posterior(likelihood: Floats, shares: Floats) -> Floats:
    """(n, discounts) probability of each discount; the sum of a row is made column by column."""
    weights = shares * np.exp(likelihood - np.max(likelihood, axis=1, keepdims=True))
    total = np.zeros(len(weights))
    for i in range(weights.shape[1]):
        total = total + weights[:, i]
    posterior: Floats = weights / total[:, np.newaxis]
    return posterior


def _means(units: Floats) -> tuple[Floats, Floats]:
    """(n, discounts) mean after the last column, NaN where nothing is known, and the log likelihood of each.

    Of normal errors one step ahead with the variance that suits each best, up to a constant per row.
    """
    discounts = np.array(DISCOUNTS)
    shape = (units.shape[0], len(discounts))
    total, weight, squares, months = (np.zeros(shape) for _ in range(4))
    mean = np.full(shape, np.nan)
    for t in range(units.shape[1]):
        value = units[:, t, np.newaxis]
        known, error = ~np.isnan(value), value - mean
        going = ~np.isnan(error)
        squares, months = squares + np.where(going, error * error, 0.0), months + going
        total = np.where(known, discounts * total + value, total)
        weight = np.where(known, discounts * weight + 1.0, weight)
        mean = np.divide(total, weight, out=np.full(shape, np.nan), where=weight > 0)
    tiny = np.finfo(np.float64).tiny
    return mean, -0.5 * months * np.log(np.maximum(squares, tiny) / np.maximum(months, 1.0))
