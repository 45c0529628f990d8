"""Forecast distributions as quantiles at eight levels, and what can be computed from them.

Between two levels the quantile function is a straight line; outside the outermost levels it is an exponential
tail that goes through the two outermost quantiles, cut off at zero. So a row of eight numbers is a whole
distribution, with a mass at zero where the lower quantiles are zero. Units are counted in whole numbers: what
lies between two of them is shared between both so that the mean stays.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LEVELS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
P10, P50, P90 = LEVELS.index(0.1), LEVELS.index(0.5), LEVELS.index(0.9)

TAIL_SHARE: Final = 1e-6
"""Mass beyond the last unit of `pmf`."""

_UNITS_AT_ONCE: Final = 1 << 16

_LEVELS: Final = np.array(LEVELS)
_LOW_DECAY: Final = float(np.log(LEVELS[1] / LEVELS[0]))
_HIGH_DECAY: Final = float(np.log((1 - LEVELS[-2]) / (1 - LEVELS[-1])))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Forecast of one month, one row per product.

    Attributes:
        mean: (n,) expected units, >= 0.
        quantiles: (n, 8) units at `LEVELS`, >= 0 and non-decreasing in a row; None for a point forecast that
            is not calibrated yet.
    """

    mean: Floats
    quantiles: Floats | None

    @property
    def levels(self) -> Floats:
        """The quantiles of a calibrated prediction.

        Raises:
            ValueError: This is a point forecast.
        """
        if self.quantiles is None:
            raise ValueError("a point forecast has no quantiles before calibration")
        return self.quantiles


def tidy(quantiles: Floats) -> Floats:
    """Quantiles without negative values and without crossings, by sorting (Chernozhukov et al. 2010)."""
    return np.sort(np.maximum(quantiles, 0.0), axis=1)


def mean_of(quantiles: Floats) -> Floats:
    """Expected units of each row: the integral of its quantile function, in closed form.

    Args:
        quantiles: (n, 8), tidy.
    """
    columns = [np.ascontiguousarray(column) for column in quantiles.T]
    low, high = columns[0], columns[-1]
    decay_low, decay_high = (columns[1] - low) / _LOW_DECAY, (high - columns[-2]) / _HIGH_DECAY
    cut = np.divide(low, decay_low, out=np.full(len(low), np.inf), where=decay_low > 0)
    total: Floats = LEVELS[0] * (low - decay_low * (1.0 - np.exp(-cut))) + (1 - LEVELS[-1]) * (
        high + decay_high
    )
    for i in range(1, len(LEVELS)):
        total = total + (LEVELS[i] - LEVELS[i - 1]) * 0.5 * (columns[i] + columns[i - 1])
    return total


def cdf(row: Floats, units: Floats) -> Floats:
    """P(Y <= units) for each value; right-continuous, so `cdf(row, 0)` is the mass at zero.

    Args:
        row: (8,) tidy quantiles.
        units: Any shape; a negative value has probability 0.
    """
    units = np.asarray(units, dtype=np.float64)
    at = np.searchsorted(row, units, side="right")
    left, right = np.clip(at - 1, 0, len(row) - 1), np.clip(at, 0, len(row) - 1)
    width = row[right] - row[left]
    step = np.divide(units - row[left], width, out=np.zeros(units.shape), where=width > 0)
    inside = _LEVELS[left] + (_LEVELS[right] - _LEVELS[left]) * step
    low = LEVELS[0] * _decay(row[0] - units, (row[1] - row[0]) / _LOW_DECAY)
    high = 1.0 - (1 - LEVELS[-1]) * _decay(units - row[-1], (row[-1] - row[-2]) / _HIGH_DECAY)
    share = np.where(at == 0, low, np.where(at == len(row), high, inside))
    return np.where(units < 0, 0.0, share)


def share_up_to(row: Sequence[float], units: float) -> float:
    """`cdf` of one value in plain numbers, which cost a thirtieth of arrays with one value in each.

    Args:
        row: (8,) tidy quantiles.
        units: Any; a negative value has probability 0.
    """
    if units < 0:
        return 0.0
    at = bisect_right(row, units)
    if at == 0:
        return LEVELS[0] * _tail(row[0] - units, (row[1] - row[0]) / _LOW_DECAY)
    if at == len(row):
        return 1.0 - (1 - LEVELS[-1]) * _tail(units - row[-1], (row[-1] - row[-2]) / _HIGH_DECAY)
    left, right = row[at - 1], row[at]
    return LEVELS[at - 1] + (LEVELS[at] - LEVELS[at - 1]) * ((units - left) / (right - left))


def _tail(distance: float, length: float) -> float:
    """`_decay` of one distance, >= 0."""
    return math.exp(-distance / length) if length > 0 else 0.0


def ppf(row: Floats, shares: Floats) -> Floats:
    """The quantile function: the smallest units whose `cdf` reaches each share.

    Args:
        row: (8,) tidy quantiles.
        shares: Any shape, each strictly between 0 and 1.

    Raises:
        ValueError: A share is not strictly between 0 and 1.
    """
    shares = np.asarray(shares, dtype=np.float64)
    if not np.all((shares > 0) & (shares < 1)):
        raise ValueError(f"shares must be strictly between 0 and 1, got {shares}")
    low = row[0] - (row[1] - row[0]) / _LOW_DECAY * np.log(LEVELS[0] / np.minimum(shares, LEVELS[0]))
    excess = np.log((1 - LEVELS[-1]) / (1 - np.maximum(shares, LEVELS[-1])))
    high = row[-1] + (row[-1] - row[-2]) / _HIGH_DECAY * excess
    inside = np.interp(shares, _LEVELS, row)
    return np.maximum(0.0, np.where(shares < LEVELS[0], low, np.where(shares > LEVELS[-1], high, inside)))


def last_units(quantiles: Floats) -> Ints:
    """(n,) the unit of each row beyond which less than `TAIL_SHARE` is left."""
    excess = np.log((1 - LEVELS[-1]) / (1 - (1 - TAIL_SHARE)))
    last = quantiles[:, -1] + (quantiles[:, -1] - quantiles[:, -2]) / _HIGH_DECAY * excess
    units: Ints = np.ceil(last).astype(np.intp)
    return units


def pmf(row: Floats) -> Floats:
    """P(Y = k) for k = 0, 1, ..., up to the unit beyond which less than `TAIL_SHARE` is left; sums to 1.

    P(Y <= k) is the mean of `cdf` between k and k + 1, so a value of 2.3 is 2 with a chance of 0.7 and 3 with
    0.3. Masses at whole units stay where they are.

    Args:
        row: (8,) tidy quantiles.
    """
    return masses(row[np.newaxis])[0]


def masses(quantiles: Floats) -> list[Floats]:
    """`pmf` of each row of (n, 8) tidy quantiles; the same bits alone and in company."""
    ends = np.cumsum(last_units(quantiles) + 2)
    cuts = np.flatnonzero(np.diff(ends // _UNITS_AT_ONCE)) + 1
    return [mass for rows in np.split(quantiles, cuts) for mass in _masses(rows)]


def expectation(row: Floats, value: Callable[[Floats], Floats]) -> float:
    """E[value(Y)] under `pmf`; `value` gets all units of the support as one array."""
    probabilities = pmf(row)
    return float(probabilities @ value(np.arange(len(probabilities), dtype=np.float64)))


def _masses(rows: Floats) -> list[Floats]:
    """All units of all rows behind each other: x F(x) less the partial mean is the integral of F up to x."""
    size = last_units(rows) + 2
    start = np.cumsum(size) - size
    units = (np.arange(size.sum()) - np.repeat(start, size)).astype(np.float64)
    shares, partial = _shares(rows, units, size)
    means = np.diff(units * shares - partial, append=0.0)
    mass = np.diff(means, prepend=0.0)
    mass[start] = means[start]
    mass = np.maximum(mass, 0.0)
    own = [
        mass[first : first + count] for first, count in zip(start.tolist(), (size - 1).tolist(), strict=True)
    ]
    return [part / part.sum() for part in own]


def _shares(rows: Floats, units: Floats, size: Ints) -> tuple[Floats, Floats]:
    """`cdf` at every unit, and the integral of the quantile function from 0 to it.

    Args:
        rows: (n, 8) tidy quantiles.
        units: 0, 1, ... of the first row, then of the second, and so on.
        size: (n,) how many of each row.
    """
    end = np.minimum(np.ceil(rows), size[:, np.newaxis]).astype(np.intp)  # of the units below each quantile
    lengths = np.diff(end, axis=1, prepend=0, append=size[:, np.newaxis])
    run = np.repeat(np.arange(lengths.size), lengths.ravel())
    row, section = np.divmod(run, lengths.shape[1])
    shares, partial = np.empty(len(units)), _up_to_sections(rows).ravel()[run]
    for part, of in (
        (section == 0, _low),
        ((section > 0) & (section < len(LEVELS)), _inside),
        (section == len(LEVELS), _high),
    ):
        at = np.flatnonzero(part)
        shares[at], partial[at] = of(rows, row[at], section[at], units[at], partial[at])
    return shares, partial


def _low(rows: Floats, row: Ints, _: Ints, units: Floats, before: Floats) -> tuple[Floats, Floats]:
    """Share of each unit below the first quantile, and `before` plus the integral up to that share."""
    length = (rows[:, 1] - rows[:, 0]) / _LOW_DECAY
    shares = LEVELS[0] * _decay(rows[row, 0] - units, length[row])
    return shares, before + _head(rows[row], shares)


def _inside(rows: Floats, row: Ints, section: Ints, units: Floats, before: Floats) -> tuple[Floats, Floats]:
    """The same between two quantiles, the second of which is that of the section."""
    left, right = rows[row, section - 1], rows[row, section]
    level, rise = _LEVELS[section - 1], _LEVELS[section] - _LEVELS[section - 1]
    shares = level + rise * ((units - left) / (right - left))
    step = shares - level
    return shares, before + step * (left + 0.5 * ((right - left) * step / rise))


def _high(rows: Floats, row: Ints, _: Ints, units: Floats, before: Floats) -> tuple[Floats, Floats]:
    """The same from the last quantile on."""
    last, length = rows[row, -1], ((rows[:, -1] - rows[:, -2]) / _HIGH_DECAY)[row]
    shares = 1.0 - (1 - LEVELS[-1]) * _decay(units - last, length)
    left = np.clip(1.0 - shares, np.finfo(float).tiny, 1 - LEVELS[-1])
    beyond = (1 - LEVELS[-1]) - left
    return shares, before + last * beyond + length * (beyond - left * np.log((1 - LEVELS[-1]) / left))


def _up_to_sections(rows: Floats) -> Floats:
    """(n, 9) integral of the quantile function from 0 to where each section begins."""
    total = _head(rows, np.full(len(rows), LEVELS[0]))
    found = [np.zeros(len(rows)), total]
    for i in range(1, len(LEVELS)):
        step = LEVELS[i] - LEVELS[i - 1]
        rise = (rows[:, i] - rows[:, i - 1]) * step / (LEVELS[i] - LEVELS[i - 1])
        total = total + step * (rows[:, i - 1] + 0.5 * rise)
        found.append(total)
    return np.stack(found, axis=1)


def _head(rows: Floats, shares: Floats) -> Floats:
    """(n,) integral of the quantile function of each row from 0 to a share of at most the first level."""
    first, length = rows[:, 0], (rows[:, 1] - rows[:, 0]) / _LOW_DECAY
    start = LEVELS[0] * _decay(first, length)
    head = np.maximum(shares, start)
    depth = np.divide(-first, length, out=np.zeros(len(rows)), where=length > 0)
    origin = np.where(start > 0, first * start + length * start * (depth - 1.0), 0.0)
    log = np.log(np.maximum(head, np.finfo(float).tiny) / LEVELS[0])
    return first * head + length * head * (log - 1.0) - origin


def _decay(distance: Floats, length: Floats | float) -> Floats:
    """exp(-distance / length) where the distance is positive; a tail without length has no mass."""
    ahead = np.maximum(distance, 0.0)
    scaled = np.divide(ahead, length, out=np.full(ahead.shape, np.inf), where=np.asarray(length) > 0)
    decay: Floats = np.exp(-scaled)
    return decay
