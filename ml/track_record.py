"""How well a model forecast each product in the backtest, shrunk to its demand class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 6.0
"""Weight of the class mean, in observations: a product with six own months counts half."""

_EVERY_CLASS = "all"


@dataclass(frozen=True)
class HistoricalError:
    """Mean scaled pinball loss of a product, and how many of its own months it rests on."""

    scaled_pinball: float
    observations: int


@dataclass(frozen=True)
class TrackRecord:
    """Backtest loss per product and per demand class; a product never tested has its class's loss."""

    products: Mapping[str, HistoricalError]
    classes: Mapping[str, float]

    @classmethod
    def measure(
        cls, product_ids: Sequence[str], demand_classes: Sequence[str], losses: NDArray[np.float64]
    ) -> Self:
        """Shrink each product's mean loss to its class: e = (n e_own + k e_class) / (n + k), k = 6.

        The James-Stein form of an empirical Bayes mean (Efron and Morris 1975) with a fixed weight.

        Args:
            product_ids: One per row.
            demand_classes: Demand class of each row.
            losses: (rows, test months), NaN where a product was not tested.
        """
        classes = {
            name: _mean(losses[[c == name for c in demand_classes]]) for name in sorted(set(demand_classes))
        }
        classes[_EVERY_CLASS] = _mean(losses)
        products = {}
        for product_id, demand_class, row in zip(product_ids, demand_classes, losses, strict=True):
            own = row[np.isfinite(row)]
            shrunk = (float(own.sum()) + SHRINKAGE * classes[demand_class]) / (own.size + SHRINKAGE)
            if np.isfinite(shrunk):
                products[product_id] = HistoricalError(shrunk, int(own.size))
        return cls(products, {name: loss for name, loss in classes.items() if np.isfinite(loss)})

    def of(self, product_id: str, demand_class: str) -> HistoricalError | None:
        """The product's own record, else its class's, else that of all products; None without any test."""
        if product_id in self.products:
            return self.products[product_id]
        loss = self.classes.get(demand_class, self.classes.get(_EVERY_CLASS))
        return None if loss is None else HistoricalError(loss, 0)

    def state(self) -> dict[str, NDArray[Any] | str]:
        """Arrays for the bundle, sorted by product and class."""
        ids, classes = sorted(self.products), sorted(self.classes)
        return {
            "product_ids": np.array(ids, dtype=np.str_),
            "scaled_pinball": np.array([self.products[i].scaled_pinball for i in ids], dtype=np.float64),
            "observations": np.array([self.products[i].observations for i in ids], dtype=np.int64),
            "classes": np.array(classes, dtype=np.str_),
            "class_losses": np.array([self.classes[c] for c in classes], dtype=np.float64),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any] | str]) -> Self:
        """What `state` stored."""
        columns = {name: np.asarray(value).tolist() for name, value in state.items()}
        errors = map(HistoricalError, columns["scaled_pinball"], columns["observations"])
        products = dict(zip(columns["product_ids"], errors, strict=True))
        return cls(products, dict(zip(columns["classes"], columns["class_losses"], strict=True)))


def _mean(losses: NDArray[np.float64]) -> float:
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if known.size else float("nan")
