"""How much of what a product sells comes back: apart from its demand, which stays gross.

A product's rate is beta distributed around that of its category (beta-binomial model, Skellam 1948), so a product
with few sales has its category's rate. Returns come in lumps: a month's units vary more around the rate than
coins would, and by how much is told by past months.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml import negative_binomial
from ml.distribution import LEVELS, P10, P90
from ml.features import SEASON
from ml.history import History

Floats = NDArray[np.float64]

RETURNED: Final = "returned_units"
LEAST_STRENGTH: Final = 1.0
MOST_STRENGTH: Final = 1e6
CLUMPINGS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
MOST_MONTHS: Final = 5_000
"""Months with sales that the clumping is chosen from, evenly spread over the products."""

NORMAL_WIDTH_80: Final = 2.563
"""Standard deviations between the tenth and the ninetieth percentile of a normal distribution."""


@dataclass(frozen=True, eq=False)
class ReturnRates:
    """Share of units that come back, by category.

    Attributes:
        names: Categories, sorted.
        rates: (categories + 1,) shares; the last is for any other category.
        strength: Units of its own at which a product counts as much as its category.
        clumping: Variance of a month's returned units over that of a binomial, one of `CLUMPINGS`.
    """

    names: tuple[str, ...]
    rates: Floats
    strength: float
    clumping: float

    @classmethod
    def fit(cls, history: History) -> Self | None:
        """Rates of a shop's categories, shrunk to the shop's; None where returns are not known or nothing sold.

        The strength has the moments of products around their categories (Kleinman 1973).
        """
        if RETURNED not in history.extra or not np.nansum(history.units) > 0:
            return None
        sold, back = _totals(history)
        names, row = np.unique(np.array(history.categories), return_inverse=True)
        raw, shop = _ratio(_summed(back, row), _summed(sold, row)), float(back.sum() / sold.sum())
        strength = _strength(sold, _ratio(back, sold), raw[row], row)
        units = _summed(sold, row)
        rates = np.append((units * raw + strength * shop) / (units + strength), shop)
        own, weight = (back + strength * rates[row]) / (sold + strength), sold + strength
        return cls(tuple(names.tolist()), rates, strength, _clumping(history, own, weight))

    def expected(self, history: History, mean: Floats, quantiles: Floats) -> dict[str, Floats]:
        """Returned units of next month's sales, (n,) each: `rate`, `mean`, `p10`, `p90` and `own_units`.

        The last are the product's own sales, which the rate rests on beside its category's.

        Args:
            history: Months before; without returned units a product has the rate of its category.
            mean: (n,) expected units sold.
            quantiles: (n, 8) of units sold.
        """
        position = {name: i for i, name in enumerate(self.names)}
        code = np.array([position.get(name, len(position)) for name in history.categories], dtype=np.intp)
        sold, back = (
            _totals(history) if RETURNED in history.extra else (np.zeros(history.n), np.zeros(history.n))
        )
        weight = sold + self.strength
        rate = (back + self.strength * self.rates[code]) / weight
        spread = ((quantiles[:, P90] - quantiles[:, P10]) / NORMAL_WIDTH_80) ** 2
        levels = _levels(mean, spread, rate, weight, self.clumping)
        return {
            "rate": rate,
            "mean": mean * rate,
            "p10": levels[:, P10],
            "p90": levels[:, P90],
            "own_units": sold,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the same bits."""
        return {
            "names": list(self.names),
            "rates": self.rates.tolist(),
            "strength": self.strength,
            "clumping": self.clumping,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        rates = np.array(value["rates"], dtype=np.float64)
        return cls(tuple(value["names"]), rates, float(value["strength"]), float(value["clumping"]))


def _totals(history: History) -> tuple[Floats, Floats]:
    """(n,) units sold and units that came back, no more than were sold; whole units, so sums are exact."""
    sold = np.nansum(history.units, axis=1)
    back = np.where(np.isnan(history.units), 0.0, history.extra[RETURNED]).sum(axis=1)
    return sold, np.minimum(back, sold)


def _strength(sold: Floats, own: Floats, category: Floats, row: NDArray[np.intp]) -> float:
    coin = category * (1.0 - category)
    use = (coin > 0) & (sold > 0)
    scatter = float(np.sum(sold[use] * (own[use] - category[use]) ** 2 / coin[use]))
    units, squares, products = (
        _summed(np.where(use, x, 0.0), row) for x in (sold, sold**2, np.ones(len(sold)))
    )
    free = float(np.sum(np.maximum(products - 1.0, 0.0)))
    room = float(np.sum(units - _ratio(squares, units))) - free
    correlation = (scatter - free) / room if room > 0 else 0.0
    if correlation <= 0:
        return MOST_STRENGTH
    return float(np.clip(1.0 / correlation - 1.0, LEAST_STRENGTH, MOST_STRENGTH))


def _clumping(history: History, rate: Floats, strength: Floats) -> float:
    """The one of `CLUMPINGS` with the least pinball loss over all levels in months with sales."""
    row, month = np.nonzero(np.nan_to_num(history.units[:, -SEASON:]) > 0)
    if not len(row):
        return CLUMPINGS[0]
    every = slice(None, None, 1 + len(row) // MOST_MONTHS)
    row, month = row[every], month[every]
    sold, back = history.units[:, -SEASON:][row, month], history.extra[RETURNED][:, -SEASON:][row, month]
    none = np.zeros(len(row))

    def loss(clumping: float) -> float:
        error = back[:, np.newaxis] - _levels(sold, none, rate[row], strength[row], clumping)
        return float(np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1.0) * error).mean())

    return min(CLUMPINGS, key=loss)


def _levels(sold: Floats, spread: Floats, rate: Floats, strength: Floats, clumping: float) -> Floats:
    """(n, 8) returned units of `sold` units with variance `spread`: negative binomials with the right moments."""
    coin, mean = rate * (1.0 - rate), sold * rate
    doubt = coin / (strength + 1.0) * (spread + sold**2)
    variance = clumping * coin * sold + doubt + rate**2 * spread
    excess = (variance - mean) / np.maximum(mean, negative_binomial.SMALLEST_MEAN) ** 2
    return negative_binomial.quantiles(mean, np.maximum(excess, negative_binomial.SMALLEST_DISPERSION))


def _summed(values: Floats, row: NDArray[np.intp]) -> Floats:
    summed: Floats = np.bincount(row, weights=values).astype(np.float64)
    return summed


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Elementwise quotient, 0 where the divisor is 0."""
    quotient: Floats = np.divide(top, bottom, out=np.zeros(len(bottom)), where=bottom > 0)
    return quotient
