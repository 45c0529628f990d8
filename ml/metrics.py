"""How far forecasts were from what was sold.

Arrays have one row per forecast, a product in one month. `scale` is what `ml.features.scale` says of the
product before that month, so errors of large and small products can be averaged.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.distribution import pmf
from ml.errors import NoDemand

Floats = NDArray[np.float64]


def mae(actual: Floats, forecast: Floats) -> float:
    """Mean absolute error in units."""
    return float(np.mean(np.abs(forecast - actual)))


def rmse(actual: Floats, forecast: Floats) -> float:
    """Root of the mean squared error, in units."""
    return float(np.sqrt(np.mean((forecast - actual) ** 2)))


def wape(actual: Floats, forecast: Floats) -> float:
    """Weighted absolute percentage error as a share: 0.12 means 12 %.

    Absolute errors summed, divided by the units sold, so a product that sells two a month cannot dominate as
    it does in MAPE (Kolassa and Schuetz 2007).

    Raises:
        NoDemand: Every actual value is zero, so the ratio has no meaning.
    """
    return float(np.sum(np.abs(forecast - actual)) / _sold(actual))


def bias(actual: Floats, forecast: Floats) -> float:
    """Units forecast too many, as a share of the units sold: -0.1 means 10 % too few.

    Raises:
        NoDemand: Every actual value is zero.
    """
    return float(np.sum(forecast - actual) / _sold(actual))


def mase(actual: Floats, forecast: Floats, scale: Floats) -> float:
    """Mean absolute scaled error (Hyndman and Koehler 2006): 1 is as far off as lag-1 was in the past."""
    return float(np.mean(np.abs(forecast - actual) / scale))


def rmsse(actual: Floats, forecast: Floats, squared_scale: Floats, series: NDArray[np.intp]) -> float:
    """Root mean squared scaled error (Makridakis et al. 2022), per product over its months, then averaged.

    Args:
        actual: Units sold.
        forecast: Units forecast.
        squared_scale: `ml.features.squared_scale` of the product before the month.
        series: Which product each row belongs to.
    """
    _, position = np.unique(series, return_inverse=True)
    ratio = (forecast - actual) ** 2 / squared_scale
    return float(np.mean(np.sqrt(np.bincount(position, weights=ratio) / np.bincount(position))))


def pinball(actual: Floats, quantile: Floats, share: float) -> Floats:
    """Loss of each quantile forecast in units (Koenker and Bassett 1978); least at the true quantile.

    Times (underage + overage cost) it is the cost of stocking the quantile.
    """
    short = actual - quantile
    return np.where(short >= 0, share * short, (share - 1) * short)


def scaled_pinball(actual: Floats, quantiles: Floats, shares: Sequence[float], scale: Floats) -> Floats:
    """(n,) mean over the levels of twice the pinball loss, divided by the scale.

    Args:
        actual: (n,) units sold.
        quantiles: (n, k) units.
        shares: The k levels.
        scale: (n,) units.
    """
    losses = [2 * pinball(actual, quantiles[:, i], share) / scale for i, share in enumerate(shares)]
    mean: Floats = np.mean(losses, axis=0)
    return mean


def ranked_probability_score(actual: float, quantiles: Floats) -> float:
    """Sum over whole units k of (P(Y <= k) - 1{actual <= k})^2 (Epstein 1969); 0 for a sure and right forecast.

    Args:
        actual: Whole units sold.
        quantiles: (8,) tidy quantiles of one forecast, counted by `ml.distribution.pmf`.
    """
    mass = pmf(quantiles)
    up_to = np.ones(max(len(mass), int(actual) + 1))
    up_to[: len(mass)] = np.cumsum(mass)
    return float(np.sum((up_to - (np.arange(len(up_to)) >= actual)) ** 2))


def coverage(actual: Floats, low: Floats, high: Floats) -> float:
    """Share of months inside the closed interval; a right interval of counts holds more than it promises."""
    return float(np.mean((actual >= low) & (actual <= high)))


def calibration_gap(actual: Floats, quantiles: Floats, shares: Sequence[float]) -> float:
    """How far the worst level is from P(Y < q) <= level <= P(Y <= q), as a share; 0 is right."""
    below = np.mean(actual[:, np.newaxis] < quantiles, axis=0)
    up_to = np.mean(actual[:, np.newaxis] <= quantiles, axis=0)
    level = np.asarray(shares)
    return float(np.max(np.maximum(np.maximum(below - level, level - up_to), 0.0)))


def _sold(actual: Floats) -> float:
    total = float(np.sum(actual))
    if total <= 0:
        raise NoDemand(f"nothing was sold in all {len(actual)} rows, so errors cannot be related to sales")
    return total
