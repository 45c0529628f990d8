"""What products sell in their first months, and after a year without a sale: their own history says little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.demand_class import DORMANT, NEW, demand_class
from ml.distribution import LEVELS, Prediction, mean_of
from ml.features import SEASON, seen
from ml.hindcasts import Hindcast
from ml.history import History

if TYPE_CHECKING:
    from ml.models.base import State

Floats = NDArray[np.float64]

COLD_MONTHS: Final = 3
"""From so many months on a product stands for itself."""

COLD_WEIGHT: Final = 2.0
"""Weight of the category in months, where nothing is known of first months: two months of its own count half."""

MODEL_SHARE: Final = 0.5
"""Of the model in a product's first months; the other half is what products sold that began like it."""

CATEGORY_WEIGHT: Final = 20.0
"""Weight of all in a part of them, in outcomes: a category with twenty new products counts half."""

OUTCOMES_NEEDED: Final = 50
"""First months, or months of dormant products, that must have been seen before they tell anything."""

BANDS: Final = 8
"""Products in their first months are alike if they sold as much a month so far, in so many bands."""


def _none(*shape: int) -> Floats:
    return np.empty(shape)


@dataclass(frozen=True, eq=False)
class Newcomers:
    """Units that products sold in their second to sixth month, in detail in the second and third, and when dormant.

    Attributes:
        categories: Names of the rows of `quantiles`.
        quantiles: (categories + 1, 8) units at `LEVELS`; the last row is for any other category.
        cuts: (BANDS - 1,) units a month so far that part the bands; empty where too little was seen, and in bundles
            before 2026-12.
        starts: (COLD_MONTHS - 1, BANDS, 8) units at `LEVELS` by months so far and band; empty as `cuts`.
        dormant: (8,) units at `LEVELS` in the month after twelve without a sale; empty as `cuts`.
    """

    categories: tuple[str, ...]
    quantiles: Floats
    cuts: Floats = field(default_factory=lambda: _none(0))
    starts: Floats = field(default_factory=lambda: _none(0, 0, len(LEVELS)))
    dormant: Floats = field(default_factory=lambda: _none(0))

    @classmethod
    def fit(cls, past: Sequence[Hindcast]) -> Self:
        """Quantiles of the outcomes, those of parts shrunk to those of all; zeros where no product was new."""
        units, category = np.empty(0), []
        for hindcast in past:
            young = (demand_class(hindcast.history) == NEW) & ~np.isnan(hindcast.actual)
            units = np.concatenate([units, hindcast.actual[young]])
            category += [hindcast.history.categories[i] for i in np.flatnonzero(young)]
        if not past:
            return cls((), np.zeros((1, len(LEVELS))))
        months = np.column_stack([past[-1].history.units, past[-1].actual])
        cuts, starts = _starts(months)
        dormant = dormant_outcomes(months)
        asleep = np.quantile(dormant, LEVELS) if len(dormant) >= OUTCOMES_NEEDED else _none(0)
        if not len(units):
            return cls((), np.zeros((1, len(LEVELS))), cuts, starts, asleep)
        everyone = np.quantile(units, LEVELS)
        names, label = tuple(sorted(set(category))), np.array(category)
        rows = [*(_shrunk(units[label == name], everyone) for name in names), everyone]
        return cls(names, np.stack(rows), cuts, starts, asleep)

    def mixed_into(self, prediction: Prediction, history: History) -> Prediction:
        """The prediction, averaged with what products sold that were as young, and replaced for dormant ones.

        A product of one or two months counts half and those that began like it the other half. Where no first
        months are known a product of n months counts n : 2 against its category. One that never sold is its
        category.
        """
        months = seen(history, history.T).months
        own, start = self._shares_and_starts(history, months)
        if len(self.dormant):
            asleep = demand_class(history) == DORMANT
            own, start = np.where(asleep, 0.0, own), np.where(asleep[:, np.newaxis], self.dormant, start)
        quantiles = own[:, np.newaxis] * prediction.levels + (1 - own[:, np.newaxis]) * start
        return Prediction(own * prediction.mean + (1 - own) * mean_of(start), quantiles)

    def state(self) -> State:
        """Arrays for the bundle."""
        return {
            "categories": np.array(self.categories, dtype=np.str_),
            "quantiles": self.quantiles,
            "cuts": self.cuts,
            "starts": self.starts,
            "dormant": self.dormant,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`; what an older bundle lacks is empty."""
        known = {
            name: np.asarray(state[name], dtype=np.float64)
            for name in ("cuts", "starts", "dormant")
            if name in state
        }
        names = tuple(str(name) for name in np.asarray(state["categories"]))
        return cls(names, np.asarray(state["quantiles"], dtype=np.float64), **known)

    def _shares_and_starts(self, history: History, months: Floats) -> tuple[Floats, Floats]:
        position = {name: i for i, name in enumerate(self.categories)}
        code = np.array([position.get(name, len(position)) for name in history.categories], dtype=np.intp)
        start = self.quantiles[code]
        if not len(self.starts):
            return np.where(months < COLD_MONTHS, months / (months + COLD_WEIGHT), 1.0), start
        young = (months > 0) & (months < COLD_MONTHS)
        so_far = seen(history, COLD_MONTHS).mean[young]
        start[young] = self.starts[months[young].astype(np.intp) - 1, np.digitize(so_far, self.cuts)]
        return np.where(months == 0, 0.0, np.where(young, MODEL_SHARE, 1.0)), start


def dormant_outcomes(units: Floats) -> Floats:
    """Units of every month that followed twelve without a sale; products that never sold have none.

    Args:
        units: (n, T) as in `History`.
    """
    sold = np.cumsum(np.nan_to_num(units), axis=1)
    ahead, before = slice(SEASON, None), slice(None, -SEASON)
    if units.shape[1] <= SEASON:
        return np.empty(0)
    year = np.column_stack([np.zeros(len(units)), sold])
    silent = (year[:, ahead][:, :-1] == year[:, before][:, :-1]) & (year[:, before][:, :-1] > 0)
    outcome = units[:, ahead]
    found: Floats = outcome[silent & ~np.isnan(outcome)]
    return found


def sale_rate(units: Floats) -> float | None:
    """P(a sale) in a month after twelve without one, over all products; None where few such months were seen.

    Half a sale is added, so that what never happened is not impossible (Jeffreys).
    """
    outcomes = dormant_outcomes(units)
    if len(outcomes) < OUTCOMES_NEEDED:
        return None
    return float((np.sum(outcomes > 0) + 0.5) / (len(outcomes) + 1))


def _starts(units: Floats) -> tuple[Floats, Floats]:
    """Cuts of the bands and quantiles by age and band, from products whose first month is not that of the data."""
    first = np.argmax(~np.isnan(units), axis=1)
    came = np.flatnonzero(first > 0)
    ages, so_far, outcome = [], [], []
    for age in range(1, COLD_MONTHS):
        row = came[first[came] + age < units.shape[1]]
        at = first[row]
        ages.append(np.full(len(row), age))
        so_far.append(np.mean([units[row, at + k] for k in range(age)], axis=0))
        outcome.append(units[row, at + age])
    month, mean, came_next = (np.concatenate(parts) for parts in (ages, so_far, outcome))
    known = ~np.isnan(came_next)
    month, mean, came_next = month[known], mean[known], came_next[known]
    if len(came_next) < OUTCOMES_NEEDED:
        return _none(0), _none(0, 0, len(LEVELS))
    cuts = np.quantile(mean, np.arange(1, BANDS) / BANDS)
    band, everyone = np.digitize(mean, cuts), np.quantile(came_next, LEVELS)
    tables = []
    for age in range(1, COLD_MONTHS):
        of_age = _shrunk(came_next[month == age], everyone)
        tables.append([_shrunk(came_next[(month == age) & (band == k)], of_age) for k in range(BANDS)])
    return cuts, np.array(tables)


def _shrunk(units: Floats, everyone: Floats) -> Floats:
    if not len(units):
        return everyone
    weight = len(units) / (len(units) + CATEGORY_WEIGHT)
    shrunk: Floats = weight * np.quantile(units, LEVELS) + (1 - weight) * everyone
    return shrunk
