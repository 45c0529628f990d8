"""Which products sell by the season, and what is left of their demand without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.features import window
from ml.history import History

Floats = NDArray[np.float64]

SEASONS: Final = 2
"""A product with fewer whole seasons is taken as not seasonal."""

_NORMAL_90: Final = 1.6448536269514722


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Demand without its season, which is neutral for a product that has none.

    Attributes:
        units: (n, T); may be negative.
        factor: (n,) of the next month, multiplied first.
        offset: (n,) of the next month, added then.
        seasonal: (n,) which products have a season.
    """

    units: Floats
    factor: Floats
    offset: Floats
    seasonal: NDArray[np.bool_]


def seasonally_adjusted(history: History) -> Adjusted:
    """Multiplicative indices for products that sell in every month, additive ones for the others."""
    seasonal, factors, offsets = indices(history)
    phases, coming = history.phases, history.next_phase
    adjusted = history.units / factors[:, phases] - offsets[:, phases]
    return Adjusted(adjusted, factors[:, coming], offsets[:, coming], seasonal)


def indices(history: History) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Which products have a season, and (n, season) factors and offsets by its phases, neutral for the others."""
    units, season, phases = history.units, history.season, history.phases
    seasonal = is_seasonal(units, season)
    positive = np.min(np.where(np.isnan(units), np.inf, units), axis=1) > 0
    ratios = seasonal_indices(units, phases, season, multiplicative=True)
    factors = np.where((seasonal & positive)[:, np.newaxis], ratios, 1.0)
    swings = seasonal_indices(units, phases, season, multiplicative=False)
    return seasonal, factors, np.where((seasonal & ~positive)[:, np.newaxis], swings, 0.0)


def is_seasonal(units: Floats, season: int) -> NDArray[np.bool_]:
    """Rows of at least two seasons whose autocorrelation at one season is outside Bartlett's 90 % band."""
    if season < SEASONS or units.shape[1] < SEASONS * season:
        return np.zeros(units.shape[0], dtype=np.bool_)
    seen = window(units, units.shape[1])
    centred = np.where(np.isnan(units), 0.0, units - seen.mean[:, np.newaxis])
    correlations = [_autocovariance(centred, k) for k in range(season + 1)]
    variance = np.where(correlations[0] > 0, correlations[0], np.inf)
    spread = np.ones(units.shape[0])
    for k in range(1, season):
        spread = spread + 2.0 * (correlations[k] / variance) * (correlations[k] / variance)
    limit = _NORMAL_90 * np.sqrt(spread / np.maximum(seen.months, 1.0))
    seasonal: NDArray[np.bool_] = np.abs(correlations[season] / variance) > limit
    return seasonal & (seen.months >= SEASONS * season)


def seasonal_indices(
    units: Floats, phases: NDArray[np.int64], season: int, *, multiplicative: bool
) -> Floats:
    """(n, season) classical decomposition against a centred moving average over one season.

    Multiplicative indices average 1, additive ones 0; neutral where a phase was never seen.

    Args:
        units: (n, T), NaN before the start of a row.
        phases: (T,) place of each column in its season.
        season: Columns after which demand repeats itself.
        multiplicative: Quotients instead of differences.
    """
    n, neutral = units.shape[0], 1.0 if multiplicative else 0.0
    total, count = np.zeros((n, season)), np.zeros((n, season))
    half = season // 2
    for t in range(half, units.shape[1] - half):
        trend = _centred_average(units, t, season)
        usable = ~np.isnan(trend) & ((trend > 0) if multiplicative else True)
        safe = np.where(usable, trend, 1.0)
        detrended = units[:, t] / safe if multiplicative else units[:, t] - safe
        total[:, phases[t]] = total[:, phases[t]] + np.where(usable, detrended, 0.0)
        count[:, phases[t]] = count[:, phases[t]] + usable
    index = np.where(count > 0, total / np.maximum(count, 1.0), neutral)
    average = np.zeros(n)
    for k in range(season):
        average = average + index[:, k] / season
    if not multiplicative:
        return index - average[:, np.newaxis]
    return np.where(index > 0, index / np.where(average > 0, average, 1.0)[:, np.newaxis], neutral)


def _centred_average(units: Floats, t: int, season: int) -> Floats:
    """Mean of one season around column t; of an even season the outermost two columns count half."""
    half = season // 2
    total = (1.0 if season % 2 else 0.5) * (units[:, t - half] + units[:, t + half])
    for k in range(t - half + 1, t + half):
        total = total + units[:, k]
    average: Floats = total / season
    return average


def _autocovariance(centred: Floats, k: int) -> Floats:
    total = np.zeros(centred.shape[0])
    for t in range(k, centred.shape[1]):
        total = total + centred[:, t] * centred[:, t - k]
    return total
