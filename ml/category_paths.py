"""What whole categories sell month by month without chance, and in the next one: seasons that products share.

The logarithm of a category's units is a level that wanders, a line, a season that repeats itself and noise: a
structural time series (Harvey 1989) as a Gaussian process. How large each part is beside the noise is not chosen:
forecasts of all sizes are averaged by their restricted likelihood, so a season or trend counts as far as there is
evidence of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WANDERING: Final = (0.0, 0.03, 0.3, 3.0)
"""Variance of the level's step in one month, over that of the noise."""

SLOPES: Final = (0.0, 0.003)
"""Variance of the line's slope over that of the noise."""

SEASONS: Final = (0.3, 3.0, 30.0)
"""Variance of the season over that of the noise."""

WHOLE_SEASONS: Final = 2
"""Fewer than so many seasons do not tell a season."""

SMALLEST_UNITS: Final = 0.5
"""A month of a category without sales counts as half a unit."""

FEWEST_MONTHS: Final = 4
"""A category with fewer months has no path of its own."""

LONGEST_SEASONS: Final = 5
LONGEST_MONTHS: Final = 60
"""Earlier months than five seasons or sixty are taken as the first of those."""

_SMALLEST_NOISE: Final = 1e-8


def category_paths(totals: Floats, phases: Ints, season: int) -> Floats:
    """(c, T + 1) units expected of each category in each month and the next, up to a factor per category.

    All the same for a category that sold in fewer than four months; before its first sale as in that month.

    Args:
        totals: (c, T) units.
        phases: (T + 1,) place of each month and the next in its season.
        season: Months after which demand repeats itself.
    """
    months = totals.shape[1]
    paths = np.ones((totals.shape[0], months + 1))
    begins = np.where(np.any(totals > 0, axis=1), np.argmax(totals > 0, axis=1), months)
    begins = np.maximum(begins, months - max(LONGEST_SEASONS * season, LONGEST_MONTHS))
    for begin in np.unique(begins[begins <= months - FEWEST_MONTHS]).tolist():
        rows = begins == begin
        logs = np.log(np.maximum(totals[rows, begin:], SMALLEST_UNITS))
        found = np.exp(_signal(logs, phases[begin:], season))
        paths[rows] = np.column_stack([np.repeat(found[:, :1], begin, axis=1), found])
    return paths


def _signal(logs: Floats, phases: Ints, season: int) -> Floats:
    """(k, m + 1) expected logarithms in m months and the next, averaged over all sizes of the parts."""
    rows, months = logs.shape
    targets = np.column_stack([logs.T, np.ones(months)])
    best, weight, total = np.full(rows, -np.inf), np.zeros(rows), np.zeros((rows, months + 1))
    for covariances in _covariances(phases, season):
        inside = covariances[:, :months, :months] + np.eye(months)
        solved = np.linalg.solve(inside, targets)
        information = solved[:, :, -1].sum(axis=1)[:, np.newaxis]
        level = solved[:, :, :-1].sum(axis=1) / information
        alpha = solved[:, :, :-1] - solved[:, :, -1:] * level[:, np.newaxis]
        noise = np.sum(alpha * (logs.T - level[:, np.newaxis]), axis=1) / (months - 1)
        spread = 0.5 * (np.linalg.slogdet(inside)[1][:, np.newaxis] + np.log(information))
        likelihood = -0.5 * (months - 1) * np.log(np.maximum(noise, _SMALLEST_NOISE)) - spread
        signal = level[:, :, np.newaxis] + (covariances[:, :, :months] @ alpha).swapaxes(1, 2)
        top = np.maximum(best, likelihood.max(axis=0))
        old, new = np.exp(best - top), np.exp(likelihood - top)
        total = total * old[:, np.newaxis] + np.einsum("pk,pkm->km", new, signal)
        weight, best = weight * old + new.sum(axis=0), top
    average: Floats = total / weight[:, np.newaxis]
    return average


def _covariances(phases: Ints, season: int) -> Iterator[Floats]:
    """(p, m + 1, m + 1) of all parts but the noise, whose variance is 1: one stack for each size of the others."""
    months = len(phases)
    time = np.arange(float(months))
    walk = np.minimum(time[:, np.newaxis], time)
    line = np.outer(time - time.mean(), time - time.mean())
    apart = np.sin(np.pi * (phases[:, np.newaxis] - phases) / season)
    shapes = (np.equal.outer(phases, phases).astype(np.float64), np.exp(-2.0 * apart * apart))
    told = season > 1 and months > WHOLE_SEASONS * season
    seasons = [size * shape for size, shape in product(SEASONS, shapes)] if told else []
    stack = np.stack([np.zeros_like(walk), *seasons])
    for wandering, slope in product(WANDERING, SLOPES):
        yield stack + (wandering * walk + slope * line)
