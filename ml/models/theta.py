"""The Theta method (Assimakopoulos and Nikolopoulos 2000), for all products at once."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ml.features import window
from ml.history import History
from ml.models.smoothing import PointModel, smooth

Floats = NDArray[np.float64]

SEASONS: Final = 2
"""A product with fewer whole seasons is taken as not seasonal."""

LARGEST_MULTIPLE: Final = 3.0
"""A forecast is never more than this many times the product's largest month."""

SLOPE_MONTHS: Final = 3
"""A product with fewer months is taken as without trend."""

_NORMAL_90: Final = 1.6448536269514722


class Theta(PointModel):
    """Exponential smoothing with half the linear trend as drift (Hyndman and Billah 2003), deseasonalised."""

    name: ClassVar[str] = "theta"
    family: ClassVar[str] = "statistical"

    def point(self, history: History) -> Floats:
        """The smoothed level plus drift, in the season of the next month."""
        units, season, phases = history.units, history.season, history.phases
        seasonal = is_seasonal(units, season)
        positive = np.min(np.where(np.isnan(units), np.inf, units), axis=1) > 0
        ratios = seasonal_indices(units, phases, season, multiplicative=True)
        factors = np.where((seasonal & positive)[:, np.newaxis], ratios, 1.0)
        swings = seasonal_indices(units, phases, season, multiplicative=False)
        offsets = np.where((seasonal & ~positive)[:, np.newaxis], swings, 0.0)
        level, drift = _level_and_drift(units / factors[:, phases] - offsets[:, phases])
        coming = history.next_phase
        forecast = (level + drift) * factors[:, coming] + offsets[:, coming]
        return np.clip(forecast, 0.0, LARGEST_MULTIPLE * window(units, history.T).largest)


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


def _level_and_drift(values: Floats) -> tuple[Floats, Floats]:
    level, weight = smooth(values)
    remaining = np.ones(values.shape[0])
    for t in range(values.shape[1]):
        remaining = np.where(np.isnan(values[:, t]), remaining, remaining * (1.0 - weight))
    return level, 0.5 * _slope(values) * (1.0 - remaining) / weight


def _slope(values: Floats) -> Floats:
    """Least-squares slope of each row over its known months; 0 with fewer than `SLOPE_MONTHS`."""
    known, seen = ~np.isnan(values), window(values, values.shape[1])
    middle = values.shape[1] - 1 - (seen.months - 1.0) / 2.0
    top, bottom = np.zeros(values.shape[0]), np.zeros(values.shape[0])
    for t in range(values.shape[1]):
        away = np.where(known[:, t], t - middle, 0.0)
        top = top + away * np.where(known[:, t], values[:, t] - seen.mean, 0.0)
        bottom = bottom + away * away
    return np.where(seen.months >= SLOPE_MONTHS, top / np.maximum(bottom, 1.0), 0.0)
