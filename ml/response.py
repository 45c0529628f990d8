"""How demand answers to price, promotion and advertising: a log-linear response, shrunk across products.

log(units + 0.5) of a product is a constant plus a sum of effects times deviations of what was planned: of the log
price (its effect is the price elasticity), of promotion, of advertising, and of the log of all products' planned
prices (the cross-price elasticity). Effects of products are normal around
common ones (the hierarchical response of Hanssens, Parsons and Schultz 2001, chapter 3); means and variances are
fitted by empirical Bayes with the EM algorithm (Dempster, Laird and Rubin 1977), so a product with few months or
little variation answers as the others do. Effects are those of an observed plan: where a shop promotes what would
have sold anyway, they are no causal ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import LEVELS
from ml.features import level, price_path
from ml.history import PLANNED, History

if TYPE_CHECKING:
    from ml.models.base import State

Floats = NDArray[np.float64]

ROUNDS: Final = 30
LARGEST_LIFT: Final = 10.0
"""A plan multiplies or divides demand by no more than this."""

NEXT_TO_NOTHING: Final = 0.2
SMALLEST_SHARE: Final = 0.01
_ASSUMED_MONTHS: Final = 5.0
"""Weight of the assumption that a missing plan means nothing."""

_FIELDS: Final = ("mean", "variance", "noise", "unplanned", "unplanned_levels")
_SCALES: Final = "scales"
_HALF_UNIT: Final = 0.5
_FIRST_VARIANCE: Final = 1.0
_SMALLEST_VARIANCE: Final = 1e-6


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of one product each, (n, 4) in the order of `PLANNED` and of one `Response.scales`, and their errors."""

    effects: Floats
    errors: Floats

    @property
    def elasticity(self) -> Floats:
        """(n,) per cent of demand for one per cent of price; the usual one is below 0."""
        return self.effects[:, 0]


@dataclass(frozen=True, eq=False)
class Response:
    """What is common to all products; effects of a product follow from it and its own months alone.

    Attributes:
        mean: (4,) common effects in the order of `PLANNED`; 0 for what was never planned.
        variance: (4,) of the products' effects around the common ones.
        noise: Variance of log units around the response.
        unplanned: What products that have a plan in other months sell in a month without, as a share of those.
        unplanned_levels: (8,) quantiles of that share at `LEVELS`.
        scales: (4,) what planned values are divided by: 1 for logarithms, the usual size of a promotion and of
            advertising, so that their units do not matter.
    """

    mean: Floats
    variance: Floats
    noise: float
    unplanned: float
    unplanned_levels: Floats
    scales: Floats

    @classmethod
    def fit(cls, history: History) -> Self:
        """By maximum likelihood over all products; no effects where no plan varied."""
        scales, count = _scales(history), len(PLANNED)
        moments = _Moments.of(history, scales)
        nothing, unknown = np.zeros(count), np.full(count, _FIRST_VARIANCE)
        found = cls(nothing, unknown, _FIRST_VARIANCE, *_unplanned_shares(history), scales)
        used = np.flatnonzero(moments.months > 1)
        if not used.size:
            return found
        moments = moments.rows(used)
        varied = np.diagonal(moments.gram, axis1=1, axis2=2) > 0
        for _ in range(ROUNDS):
            found = found._improved(moments, varied)
        return found

    def _improved(self, moments: _Moments, varied: NDArray[np.bool_]) -> Self:
        effects, covariance = self._posterior(moments)
        seen, count = varied.any(axis=0), np.maximum(varied.sum(axis=0), 1)
        mean = np.where(seen, np.sum(effects * varied, axis=0) / count, 0.0)
        second = (effects - mean) ** 2 + np.diagonal(covariance, axis1=1, axis2=2)
        variance = np.maximum(np.sum(second * varied, axis=0) / count, _SMALLEST_VARIANCE)
        explained = np.einsum("ni,ni->n", effects, moments.moment)
        fitted = np.einsum("ni,nij,nj->n", effects, moments.gram, effects)
        spread = np.einsum("nij,nji->n", moments.gram, covariance)
        errors = moments.squares - 2.0 * explained + fitted + spread
        noise = max(float(errors.sum() / np.sum(moments.months - 1.0)), _SMALLEST_VARIANCE)
        return replace(self, mean=mean, variance=variance, noise=noise)

    def _posterior(self, moments: _Moments) -> tuple[Floats, Floats]:
        precision = np.diag(1.0 / self.variance)
        covariance = np.linalg.inv(moments.gram / self.noise + precision).astype(np.float64)
        weighted = moments.moment / self.noise + self.mean / self.variance
        effects: Floats = np.einsum("nij,nj->ni", covariance, weighted)
        return effects, covariance

    def effects(self, history: History) -> Effects:
        """Of each product, from the past in `history`; the same bits alone and in company."""
        effects, covariance = self._posterior(_Moments.of(history, self.scales))
        return Effects(effects, np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)))

    def split(self, history: History) -> tuple[History, Floats]:
        """The history as it would have been with a usual plan all the time, and (n,) the lift of the next month.

        A month without a plan, where those sell next to nothing, tells nothing: it counts as the one before it.
        """
        deviations, _ = _deviations(history, self.scales)
        effects = self.effects(history).effects
        log = np.zeros((history.n, history.T + 1))
        for k in range(len(PLANNED)):
            log = log + effects[:, k, np.newaxis] * np.nan_to_num(deviations[k])
        lift = np.clip(np.exp(log), 1.0 / LARGEST_LIFT, LARGEST_LIFT)
        lift = np.where(_unplanned(history), self.unplanned, lift)
        usual = history.units / lift[:, :-1]
        if self.unplanned < NEXT_TO_NOTHING:
            _carry_forward(usual, _unplanned(history))
        return replace(history, units=usual), lift[:, -1]

    def silent(self, history: History) -> NDArray[np.bool_]:
        """(n,) products without a plan for the next month, where such months sell next to nothing."""
        return _unplanned(history)[:, -1] & (self.unplanned < NEXT_TO_NOTHING)

    def silent_quantiles(self, history: History) -> Floats:
        """(n, 8) units of the next month if it is silent."""
        return level(self.split(history)[0])[:, np.newaxis] * self.unplanned_levels

    def as_planned(self, history: History) -> History:
        """The past as it would have been with the plan of the next month all the time."""
        usual, lift = self.split(history)
        return replace(usual, units=usual.units * lift[:, np.newaxis])

    def state(self) -> State:
        """A few small arrays."""
        return {name: np.array(getattr(self, name)) for name in (*_FIELDS, _SCALES)}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`; one without scales has those of before there were any, 1."""
        mean, variance, noise, share, levels = (np.asarray(state[name], dtype=np.float64) for name in _FIELDS)
        scales = np.asarray(state.get(_SCALES, np.ones(len(PLANNED))), dtype=np.float64)
        return cls(mean, variance, float(noise), float(share), levels, scales)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Sums over the known months of each product, of deviations from its means."""

    months: Floats
    gram: Floats
    moment: Floats
    squares: Floats

    @classmethod
    def of(cls, history: History, scales: Floats) -> Self:
        deviations, known = _deviations(history, scales)
        demand = np.where(known, np.log(history.units + _HALF_UNIT), 0.0)
        months = _total(known.astype(np.float64))
        demand = np.where(known, demand - (_total(demand) / np.maximum(months, 1.0))[:, np.newaxis], 0.0)
        past = [np.where(known, np.nan_to_num(d[:, :-1]), 0.0) for d in deviations]
        past = [np.where(known, d - (_total(d) / np.maximum(months, 1.0))[:, np.newaxis], 0.0) for d in past]
        gram = np.stack([np.stack([_total(a * b) for b in past], axis=1) for a in past], axis=1)
        moment = np.stack([_total(d * demand) for d in past], axis=1)
        return cls(months, gram, moment, _total(demand * demand))

    def rows(self, index: NDArray[np.intp]) -> Self:
        return type(self)(self.months[index], self.gram[index], self.moment[index], self.squares[index])


def _scales(history: History) -> Floats:
    """(4,) mean of what was planned of a promotion and of advertising where there was any."""
    scales = np.ones(len(PLANNED))
    for k, name in enumerate(PLANNED):
        values = history.planned(name)[:, :-1]
        if "price" not in name and np.any(values > 0):
            scales[k] = np.mean(values[values > 0])
    return scales


def _deviations(history: History, scales: Floats) -> tuple[list[Floats], NDArray[np.bool_]]:
    """Per name in `PLANNED` (n, T + 1) deviations from the usual, NaN if unknown; and (n, T) months to learn from.

    A month counts when its units are known and something was planned for it.
    """
    planned = [history.planned(name) for name in PLANNED]
    missing = _missing(history)
    known = ~np.isnan(history.units) & ~missing[:, :-1]
    if "price_cents" in history.plan:
        planned[0] = np.column_stack([price_path(history), planned[0][:, -1:]])
    planned = [
        np.log(values) if "price" in name else values / scale
        for name, values, scale in zip(PLANNED, planned, scales, strict=True)
    ]
    deviations = []
    for values in planned:
        use = known & ~np.isnan(values[:, :-1])
        usual = _total(np.where(use, values[:, :-1], 0.0)) / np.maximum(_total(use.astype(np.float64)), 1.0)
        usual = np.where(use.any(axis=1), usual, np.nan)
        deviations.append(values - usual[:, np.newaxis])
    return deviations, known


def _missing(history: History) -> NDArray[np.bool_]:
    """(n, T + 1) months without a plan of the product's own."""
    missing: NDArray[np.bool_] = np.ones((history.n, history.T + 1), dtype=np.bool_)
    for name in history.plan.keys() - {"shop_price"}:
        missing = missing & np.isnan(history.planned(name))
    return missing


def _unplanned(history: History) -> NDArray[np.bool_]:
    """(n, T + 1) months without a plan of products that had one before the next month."""
    missing = _missing(history)
    found: NDArray[np.bool_] = missing & ~np.all(missing[:, :-1], axis=1, keepdims=True)
    return found


def _unplanned_shares(history: History) -> tuple[float, Floats]:
    """Mean and quantiles of units in months without a plan over those of the product's other months."""
    known = ~np.isnan(history.units)
    without = _unplanned(history)[:, :-1] & known
    planned = ~without & known
    usual = _total(np.where(planned, history.units, 0.0)) / np.maximum(
        _total(planned.astype(np.float64)), 1.0
    )
    use = without & (usual > 0)[:, np.newaxis]
    shares = np.minimum((history.units / np.maximum(usual, _HALF_UNIT)[:, np.newaxis])[use], LARGEST_LIFT)
    if not len(shares):
        return 1.0, np.ones(len(LEVELS))
    mean = (float(shares.sum()) + _ASSUMED_MONTHS) / (len(shares) + _ASSUMED_MONTHS)
    return float(np.clip(mean, SMALLEST_SHARE, LARGEST_LIFT)), np.quantile(shares, LEVELS)


def _carry_forward(usual: Floats, unplanned: NDArray[np.bool_]) -> None:
    for t in range(1, usual.shape[1]):
        use = unplanned[:, t] & ~np.isnan(usual[:, t]) & ~np.isnan(usual[:, t - 1])
        usual[use, t] = usual[use, t - 1]


def _total(values: Floats) -> Floats:
    """Sums of rows, column by column: the same bits in any company."""
    total = np.zeros(values.shape[0])
    for t in range(values.shape[1]):
        total = total + values[:, t]
    return total
