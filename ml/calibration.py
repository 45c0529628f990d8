"""Quantiles that hold what they promise, from the errors of past forecasts.

Errors are pooled over products of the same demand class and size (Mondrian split conformal prediction, Vovk
et al. 2003), divided by a spread that each product has of its own. Quantiles are shifted by the quantile of
their past errors (conformalised quantile regression, Romano et al. 2019); a point forecast starts with all of
them at the point, a count with those of a negative binomial. Months are not exchangeable under trend and
season: coverage is measured, not guaranteed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml import negative_binomial
from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS, Prediction, mean_of, tidy
from ml.features import SEASON, seen
from ml.hindcasts import Hindcast
from ml.history import History
from ml.newcomers import Newcomers
from ml.own_dispersion import ALIKE, OwnMonths

if TYPE_CHECKING:
    from ml.models.base import State, Uncertainty

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Number = TypeVar("Number", bound=np.generic)

SIZES: Final = 3
SMALLEST_POOL: Final = 50
"""A class and size with fewer past errors uses those of its class, then those of all products."""

SMALLEST_MONTH: Final = 10
"""Months with fewer errors are not compared with others."""

MONTHS_TO_COMPARE: Final = 2

PRIOR_ERRORS: Final = 5.0
"""Weight, in errors, of what is assumed without any: normal residuals, quantiles without shift."""

_NORMAL: Final = negative_binomial.NORMAL_QUANTILES


@dataclass(frozen=True, eq=False)
class Calibration:
    """What past errors say about the next forecast of one model; every row is completed on its own.

    Attributes:
        uncertainty: Kind of predictions it completes, see `ml.models.base.Model`.
        cuts: (2,) expected units that part small, middle and large.
        dispersions: (classes x sizes,) of the negative binomial; used for `counts` and `product_counts` only.
        own: (classes x sizes, 2) mean and variance of the dispersions of products' own months; for `product_counts`
            only, and not in bundles of others.
        shifts: (classes x sizes, 8) spreads to add to the quantiles.
        newcomers: What products of each category sell in their first months.
    """

    uncertainty: Uncertainty
    cuts: Floats
    dispersions: Floats
    own: Floats
    shifts: Floats
    newcomers: Newcomers

    @classmethod
    def fit(cls, uncertainty: Uncertainty, past: Sequence[Hindcast]) -> Self:
        """From forecasts of earlier months, made without knowing them, and what came.

        Without any the residuals are taken as normal, quantiles as right and counts as Poisson. A model that
        calibrates itself needs none: `apply` hands its predictions on as they are.
        """
        errors = _Errors.of(past)
        cuts = np.quantile(errors.mean, [1 / SIZES, 2 / SIZES]) if len(errors.mean) else np.zeros(SIZES - 1)
        row = _row(errors.kind, errors.mean, cuts)
        pools = _pools(row)
        single = uncertainty == "product_counts"
        own = np.array([errors.own.spread(pool) if single else ALIKE for pool in pools])
        factors = errors.own.factors(*own[row].T)
        dispersions = np.array(
            [negative_binomial.dispersion(errors.mean[p], errors.actual[p], factors[p]) for p in pools]
        )
        start = _start(uncertainty, errors.mean, errors.levels, dispersions[row] * factors)
        signed = (errors.actual[:, np.newaxis] - start) / errors.spread[:, np.newaxis]
        shifts = np.stack([_agreed(uncertainty, signed[pool], errors.month[pool]) for pool in pools])
        return cls(uncertainty, cuts, dispersions, own, shifts, Newcomers.fit(past))

    def apply(self, history: History, prediction: Prediction) -> Prediction:
        """The calibrated prediction; a product in its first months is mixed with those of its category."""
        if self.uncertainty == "own":
            return prediction
        quantiles = self.quantiles(history, prediction)
        mean = prediction.mean if prediction.quantiles is None else mean_of(quantiles)
        return self.newcomers.mixed_into(Prediction(mean, quantiles), history)

    def quantiles(self, history: History, prediction: Prediction) -> Floats:
        """(n, 8) calibrated quantiles by past errors alone, whatever the age of a product."""
        row = _row(demand_class(history), prediction.mean, self.cuts)
        dispersions = self.dispersions[row]
        if self.uncertainty == "product_counts":
            dispersions = dispersions * OwnMonths.of(history).factors(*self.own[row].T)
        start = _start(self.uncertainty, prediction.mean, _levels(prediction), dispersions)
        return tidy(start + self.shifts[row] * spread(history, prediction.mean)[:, np.newaxis])

    def state(self) -> State:
        """Arrays and text for the bundle."""
        return {
            "uncertainty": self.uncertainty,
            "cuts": self.cuts,
            "dispersions": self.dispersions,
            **({"own": self.own} if self.uncertainty == "product_counts" else {}),
            "shifts": self.shifts,
            **{f"newcomers/{name}": value for name, value in self.newcomers.state().items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError: The kind of uncertainty is unknown.
        """
        kinds: tuple[Uncertainty, ...] = ("residuals", "counts", "product_counts", "quantiles", "own")
        found = [kind for kind in kinds if kind == state["uncertainty"]]
        if not found:
            raise ValueError(f"unknown uncertainty {state['uncertainty']!r}, known are {list(kinds)}")

        def numbers(name: str) -> Floats:
            return np.asarray(state[name], dtype=np.float64)

        return cls(
            uncertainty=found[0],
            cuts=numbers("cuts"),
            dispersions=numbers("dispersions"),
            own=numbers("own") if "own" in state else np.tile(ALIKE, (len(numbers("dispersions")), 1)),
            shifts=numbers("shifts"),
            newcomers=Newcomers.from_state(
                {
                    name.removeprefix("newcomers/"): value
                    for name, value in state.items()
                    if name.startswith("newcomers/")
                }
            ),
        )


def spread(history: History, mean: Floats) -> Floats:
    """(n,) units of a usual error: the deviation of the last year, counting noise, a part of the mean."""
    recent = np.nan_to_num(seen(history, SEASON).deviation)
    mean = np.maximum(mean, 0.0)
    total: Floats = 0.7 * recent + 0.7 * np.sqrt(mean) + 0.15 * mean + 0.05
    return total


@dataclass(frozen=True, eq=False)
class _Errors:
    """Past forecasts with a known outcome, of products with a month before; origins below each other."""

    month: Ints
    kind: Ints
    mean: Floats
    levels: Floats
    actual: Floats
    spread: Floats
    own: OwnMonths

    @classmethod
    def of(cls, past: Sequence[Hindcast]) -> Self:
        if not past:
            nothing = np.empty(0)
            none = nothing.astype(np.intp)
            months = OwnMonths(nothing, nothing, nothing)
            return cls(none, none, nothing, np.empty((0, len(LEVELS))), nothing, nothing, months)
        known = [p.settled for p in past]

        def joined(parts: Iterable[NDArray[Number]]) -> NDArray[Number]:
            return np.concatenate([part[use] for part, use in zip(parts, known, strict=True)])

        return cls(
            month=joined(np.full(p.history.n, p.history.T, dtype=np.intp) for p in past),
            kind=joined(demand_class(p.history) for p in past),
            mean=joined(p.prediction.mean for p in past),
            levels=joined(_levels(p.prediction) for p in past),
            actual=joined(p.actual for p in past),
            spread=joined(spread(p.history, p.prediction.mean) for p in past),
            own=OwnMonths.joined([OwnMonths.of(p.history) for p in past], known),
        )


def _row(kind: Ints, mean: Floats, cuts: Floats) -> Ints:
    """The row of each product in the tables: its class, and whether it is small, middle or large."""
    return kind * SIZES + np.digitize(mean, cuts)


def _pools(row: Ints) -> list[NDArray[np.bool_]]:
    """For each row of the tables the errors it learns from."""
    everything = np.ones(len(row), dtype=np.bool_)
    pools = []
    for k in range(len(CLASSES) * SIZES):
        choices = (row == k, row // SIZES == k // SIZES)
        pools.append(next((c for c in choices if c.sum() >= SMALLEST_POOL), everything))
    return pools


def _start(uncertainty: Uncertainty, mean: Floats, levels: Floats, dispersions: Floats) -> Floats:
    """(n, 8) quantiles before the shift."""
    counted = uncertainty in ("counts", "product_counts")
    return negative_binomial.quantiles(mean, dispersions) if counted else levels


def _levels(prediction: Prediction) -> Floats:
    """Quantiles, all at the mean for a point forecast."""
    if prediction.quantiles is not None:
        return prediction.quantiles
    return np.repeat(prediction.mean[:, np.newaxis], len(LEVELS), axis=1)


def _shift(uncertainty: Uncertainty, signed: Floats) -> Floats:
    """(8,) quantiles of past errors, with some errors as assumed without data."""
    prior, count = _NORMAL if uncertainty == "residuals" else np.zeros(len(LEVELS)), len(signed)
    if not count:
        return prior
    seen = np.diagonal(np.quantile(signed, [_rank(share, count) for share in LEVELS], axis=0))
    return (count * seen + PRIOR_ERRORS * prior) / (count + PRIOR_ERRORS)


def _agreed(uncertainty: Uncertainty, signed: Floats, month: Ints) -> Floats:
    """(8,) the shift, as far as months agree on it.

    What moves all products in one month moves their errors together, so many errors of few months say little.
    A shift counts by its square over that square and the variance of its mean over months (the weight of a
    linear empirical Bayes estimate, Efron and Morris 1975). Residuals have nothing to fall back on.
    """
    shift = _shift(uncertainty, signed)
    groups = [signed[month == one] for one in np.unique(month)]
    monthly = [_shift(uncertainty, group) for group in groups if len(group) >= SMALLEST_MONTH]
    if uncertainty == "residuals" or len(monthly) < MONTHS_TO_COMPARE:
        return shift
    square = shift * shift
    doubt = np.var(monthly, axis=0, ddof=1) / len(monthly)
    agreement: Floats = np.divide(square, square + doubt, out=np.zeros(len(LEVELS)), where=square > 0)
    return shift * agreement


def _rank(share: float, count: int) -> float:
    """The share of a finite sample whose quantile covers `share` of new values (n + 1 ranks)."""
    middle = 0.5
    if share == middle:
        return share
    outward = np.floor(share * (count + 1)) if share < middle else np.ceil(share * (count + 1))
    return float(np.clip(outward / count, 0.0, 1.0))
