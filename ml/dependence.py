"""How the errors of forecasts go together, over products and over months: one Gaussian copula for a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LARGEST_CORRELATION: Final = 0.95


@dataclass(frozen=True)
class Dependence:
    """Correlations of normal scores: a Gaussian copula with one factor for the shop and one per category.

    Args:
        shop: Of two products of different categories in one month, 0 to 1.
        category: What two products of one category have beyond it; `shop + category` is at most 1.
        months: Of the errors that one forecast makes in two months, 0 to 1: the share of a factor that stays.
    """

    shop: float = 0.0
    category: float = 0.0
    months: float = 0.0

    def __post_init__(self) -> None:
        together = self.shop + self.category
        if not (min(self.shop, self.category, self.months) >= 0 and max(together, self.months) <= 1):
            raise ValueError(f"{self} is no correlation")

    @classmethod
    def of(cls, forecast: Mapping[str, Any]) -> Self | None:
        """What a forecast answer says of its model; None where the model was trained before it was measured."""
        told = forecast.get("dependence")
        return None if told is None else cls(**told)

    @classmethod
    def fit(cls, scores: Floats, categories: Sequence[str]) -> Self:
        """Method of moments from past errors.

        Args:
            scores: (n, months) `normal_score` of what came in consecutive months under one forecast of each
                product; NaN where unknown.
            categories: One per product.
        """
        known = np.isfinite(scores)
        values, count = np.where(known, scores, 0.0), known.astype(np.float64)
        variance = float((values**2).sum() / max(count.sum(), 1.0))
        if variance == 0:
            return cls()
        together, code = (
            np.zeros(len(values), np.intp),
            np.unique(np.array(categories), return_inverse=True)[1],
        )
        within, pairs_within = _pairs(values, code), _pairs(count, code)
        across, pairs_across = _pairs(values, together) - within, _pairs(count, together) - pairs_within
        shop = _correlation(across, pairs_across, variance)
        category = max(0.0, _correlation(within, pairs_within, variance) - shop)
        every_month = np.zeros(values.shape[1], np.intp)
        months = _correlation(_pairs(values.T, every_month), _pairs(count.T, every_month), variance)
        return cls(shop, category, months)

    def rounded(self, digits: int) -> dict[str, float]:
        """By name, for JSON."""
        return {name: round(value, digits) for name, value in asdict(self).items()}

    def state(self) -> dict[str, NDArray[Any] | str]:
        """For the bundle."""
        return {"dependence": np.array([self.shop, self.category, self.months])}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any] | str]) -> Self | None:
        """What `state` stored; None in the bundle of a release that did not measure it."""
        if "dependence" not in state:
            return None
        shop, category, months = np.asarray(state["dependence"], dtype=np.float64).tolist()
        return cls(shop, category, months)


def _pairs(values: Floats, group: NDArray[np.intp]) -> float:
    """Sum of products over all ordered pairs of different rows of one group, over all columns."""
    total = 0.0
    for column in values.T:
        sums = np.bincount(group, weights=column)
        total += float((sums**2).sum() - (column**2).sum())
    return total


def _correlation(products: float, pairs: float, variance: float) -> float:
    return min(max(products / pairs / variance, 0.0), _LARGEST_CORRELATION) if pairs else 0.0


ASSUMED: Final = Dependence(shop=0.05, category=0.05, months=0.25)
"""Of a model that did not measure its own: about the middle of what the money backtest finds on public sets."""
