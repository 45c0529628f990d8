"""Quantiles that hold what they promise, from the errors of past forecasts.

Errors are pooled over products of the same demand class and size (Mondrian split conformal prediction, Vovk
et al. 2003), divided by a spread that each product has of its own. Point forecasts get quantiles from signed
residuals or from a negative binomial, forecasts with quantiles get each of them shifted (conformalised quantile
regression, Romano et al. 2019). Months are not exchangeable under trend and season: coverage is measured, not
guaranteed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml import negative_binomial
from ml.demand_class import CLASSES, NEW, demand_class
from ml.distribution import LEVELS, Prediction, mean_of, tidy
from ml.features import SEASON, window
from ml.hindcasts import Hindcast
from ml.history import History

if TYPE_CHECKING:
    from ml.models.base import State, Uncertainty

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

SIZES: Final = 3
SMALLEST_POOL: Final = 50
"""A class and size with fewer past errors uses those of its class, then those of all products."""

PRIOR_ERRORS: Final = 5.0
"""Weight, in errors, of what is assumed without any: normal residuals, quantiles without shift."""

COLD_MONTHS: Final = 3
COLD_WEIGHT: Final = 2.0
CATEGORY_WEIGHT: Final = 20.0
_NORMAL: Final = negative_binomial.NORMAL_QUANTILES


@dataclass(frozen=True, eq=False)
class Calibration:
    """What past errors say about the next forecast of one model; every row is completed on its own.

    Attributes:
        uncertainty: Kind of predictions it completes, see `ml.models.base.Model`.
        cuts: (2,) expected units that part small, middle and large.
        shifts: (classes x sizes, 8) added to the quantiles in spreads; for `counts` (classes x sizes, 1)
            dispersions.
        categories: Names of the categories in `newcomers`.
        newcomers: (categories + 1, 8) units a product sells in its first months; the last row is for any
            category.
    """

    uncertainty: Uncertainty
    cuts: Floats
    shifts: Floats
    categories: tuple[str, ...]
    newcomers: Floats

    @classmethod
    def fit(cls, uncertainty: Uncertainty, past: Sequence[Hindcast]) -> Self:
        """From forecasts of earlier months, made without knowing them, and what came.

        Without any the residuals are taken as normal, quantiles as right and counts as Poisson.
        """
        known = [_Errors.of(hindcast) for hindcast in past]
        errors = _Errors.joined(known)
        cuts = np.quantile(errors.mean, [1 / SIZES, 2 / SIZES]) if len(errors.mean) else np.zeros(SIZES - 1)
        fitted = [_fit(uncertainty, errors, pool) for pool in _pools(errors, cuts)]
        categories, newcomers = _newcomers(past)
        return cls(uncertainty, cuts, np.stack(fitted), categories, newcomers)

    def apply(self, history: History, prediction: Prediction) -> Prediction:
        """The calibrated prediction; a product in its first months is mixed with those of its category."""
        row = demand_class(history) * SIZES + np.digitize(prediction.mean, self.cuts)
        quantiles = tidy(self._complete(history, prediction, self.shifts[row]))
        mean = prediction.mean if prediction.quantiles is None else mean_of(quantiles)
        return self._warm(history, Prediction(mean, quantiles))

    def state(self) -> State:
        """Arrays and text for the bundle."""
        return {
            "uncertainty": self.uncertainty,
            "cuts": self.cuts,
            "shifts": self.shifts,
            "categories": np.array(self.categories, dtype=np.str_),
            "newcomers": self.newcomers,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError: The kind of uncertainty is unknown.
        """
        kinds: tuple[Uncertainty, ...] = ("residuals", "counts", "quantiles", "own")
        found = [kind for kind in kinds if kind == state["uncertainty"]]
        if not found:
            raise ValueError(f"unknown uncertainty {state['uncertainty']!r}, known are {list(kinds)}")
        cuts, shifts, newcomers = (
            np.asarray(state[name], dtype=np.float64) for name in ("cuts", "shifts", "newcomers")
        )
        return cls(found[0], cuts, shifts, tuple(str(c) for c in np.asarray(state["categories"])), newcomers)

    def _complete(self, history: History, prediction: Prediction, shifts: Floats) -> Floats:
        if self.uncertainty == "own":
            return prediction.levels
        if self.uncertainty == "counts":
            return negative_binomial.quantiles(prediction.mean, shifts[:, 0])
        start = prediction.mean[:, np.newaxis] if self.uncertainty == "residuals" else prediction.levels
        return start + shifts * spread(history, prediction.mean)[:, np.newaxis]

    def _warm(self, history: History, prediction: Prediction) -> Prediction:
        months = window(history.units, history.T).months
        own = np.where(months < COLD_MONTHS, months / (months + COLD_WEIGHT), 1.0)
        position = {name: i for i, name in enumerate(self.categories)}
        code = np.array([position.get(name, len(position)) for name in history.categories], dtype=np.intp)
        start = self.newcomers[code]
        quantiles = own[:, np.newaxis] * prediction.levels + (1 - own[:, np.newaxis]) * start
        return Prediction(own * prediction.mean + (1 - own) * mean_of(start), quantiles)


def spread(history: History, mean: Floats) -> Floats:
    """(n,) units of a usual error: the deviation of the last year, counting noise, a part of the mean."""
    recent = np.nan_to_num(window(history.units, SEASON).deviation)
    mean = np.maximum(mean, 0.0)
    total: Floats = 0.7 * recent + 0.7 * np.sqrt(mean) + 0.15 * mean + 0.05
    return total


@dataclass(frozen=True, eq=False)
class _Errors:
    """Past forecasts with a known outcome; `signed` is (m, 8) or (m, 1) errors in spreads."""

    kind: Ints
    mean: Floats
    actual: Floats
    signed: Floats

    @classmethod
    def of(cls, hindcast: Hindcast) -> Self:
        history, prediction = hindcast.history, hindcast.prediction
        known = ~np.isnan(hindcast.actual) & ~np.isnan(history.units[:, -1])
        start = prediction.mean[:, np.newaxis] if prediction.quantiles is None else prediction.quantiles
        signed = (hindcast.actual[:, np.newaxis] - start) / spread(history, prediction.mean)[:, np.newaxis]
        kind = demand_class(history)
        return cls(kind[known], prediction.mean[known], hindcast.actual[known], signed[known])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        if not parts:
            return cls(np.empty(0, dtype=np.intp), np.empty(0), np.empty(0), np.empty((0, 1)))
        columns = zip(*((part.kind, part.mean, part.actual, part.signed) for part in parts), strict=True)
        kind, mean, actual, signed = (np.concatenate(column) for column in columns)
        return cls(kind, mean, actual, signed)


def _pools(errors: _Errors, cuts: Floats) -> list[NDArray[np.bool_]]:
    """For each class and size the errors it learns from."""
    size = np.digitize(errors.mean, cuts)
    pools = []
    for kind in range(len(CLASSES)):
        of_class = errors.kind == kind
        for k in range(SIZES):
            choices = (of_class & (size == k), of_class, np.ones(len(size), dtype=np.bool_))
            pools.append(next((c for c in choices if c.sum() >= SMALLEST_POOL), choices[-1]))
    return pools


def _fit(uncertainty: Uncertainty, errors: _Errors, pool: NDArray[np.bool_]) -> Floats:
    count = int(pool.sum())
    if uncertainty == "own":
        return np.zeros(len(LEVELS))
    if uncertainty == "counts":
        if not count:
            return np.array([negative_binomial.SMALLEST_DISPERSION])
        return np.array([negative_binomial.dispersion(errors.mean[pool], errors.actual[pool])])
    prior = _NORMAL if uncertainty == "residuals" else np.zeros(len(LEVELS))
    if not count:
        return prior
    signed = np.broadcast_to(errors.signed[pool], (count, len(LEVELS)))
    seen = np.array([np.quantile(signed[:, i], _rank(share, count)) for i, share in enumerate(LEVELS)])
    return (count * seen + PRIOR_ERRORS * prior) / (count + PRIOR_ERRORS)


def _rank(share: float, count: int) -> float:
    """The share of a finite sample whose quantile covers `share` of new values (n + 1 ranks)."""
    middle = 0.5
    if share == middle:
        return share
    outward = np.floor(share * (count + 1)) if share < middle else np.ceil(share * (count + 1))
    return float(np.clip(outward / count, 0.0, 1.0))


def _newcomers(past: Sequence[Hindcast]) -> tuple[tuple[str, ...], Floats]:
    """Quantiles of what products sold in their second to sixth month, by category, shrunk to all."""
    units, category = [], []
    for hindcast in past:
        young = (demand_class(hindcast.history) == NEW) & ~np.isnan(hindcast.actual)
        units.append(hindcast.actual[young])
        category += [hindcast.history.categories[i] for i in np.flatnonzero(young)]
    pooled, names = np.concatenate([np.empty(0), *units]), tuple(sorted(set(category)))
    if not len(pooled):
        return (), np.zeros((1, len(LEVELS)))
    everyone = np.quantile(pooled, LEVELS)
    label, rows = np.array(category), []
    for name in names:
        own = pooled[label == name]
        weight = len(own) / (len(own) + CATEGORY_WEIGHT)
        rows.append(weight * np.quantile(own, LEVELS) + (1 - weight) * everyone)
    return names, np.stack([*rows, everyone])
