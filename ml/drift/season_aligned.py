"""Is the end of a series off what its season, its occasions and its own memory lead one to expect?

A linear model with errors that remember (AR 1) is fitted to the whole series together with a step over the last
periods, by generalised least squares (Cochrane and Orcutt 1949 with Prais and Winsten's first row); the step is tested.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.drift.batches import Batches, Dates, Every
from ml.drift.occasions import LENGTHS, OUTSIDE, exposure, places
from ml.inference import student_two_sided

Floats = NDArray[np.float64]

WINDOWS: Final = {1: 0.5, 2: 0.3, 4: 0.2}
"""Last periods over which a step is looked for, and how they share the chance of a false alarm."""

YEAR_DAYS: Final = 365.25
WAVES: Final[dict[Every, int]] = {"day": 4, "week": 4, "month": 2}
"""Pairs of sine and cosine that a yearly season is made of."""

LONGEST_REFERENCE: Final[dict[Every, int]] = {"day": 1096, "week": 261, "month": 120}
FEWEST_PERIODS: Final[dict[Every, int]] = {"day": 56, "week": 26, "month": 12}
FEWEST_KNOWN: Final = 8
STRONGEST_MEMORY: Final = 0.95
SHORT_DAYS: Final = 14
"""In an occasion as short as that each day is compared with its own day of earlier times."""

DAYS_APART, DAYS_BESIDE = 60, 1
"""An earlier time of an occasion is at least so long ago; calendars disagree by so much on when it is."""

SMALLEST_INFORMATION: Final = 1e-8
"""A step that the design explains away cannot be told from it."""

SMALLEST_OCCASION: Final = 0.1
"""An occasion counts in the reference where it had at least this share of the days of two periods."""


@dataclass(frozen=True)
class Step:
    """A step over the last `window` periods: how large, and the chance of one so large were there none."""

    window: int
    effect: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Reference:
    """What periods are expected from.

    Attributes:
        design: (T, k) one row per period: level, season, weekday, occasions.
        alike: (T, c) places of earlier periods in the same season; of a day in a short occasion those as far into
            the same one, and the days beside them. -1 where there is none.
        in_occasion: (T,) days for which `alike` says how far they are into an occasion.
        unknown: Occasions that the newest period has and the reference has not: it cannot be judged.
    """

    design: Floats
    alike: NDArray[np.intp]
    in_occasion: NDArray[np.bool_]
    unknown: tuple[str, ...]


def reference(of: Batches) -> Reference:
    """What the periods of these batches are expected from."""
    starts, ends = of.starts, of.ends
    middle = starts.astype(np.float64) + (ends - starts).astype(np.float64) / 2
    columns = [np.ones(len(starts))]
    years = float(middle[-1] - middle[0]) / YEAR_DAYS
    for wave in range(1, WAVES[of.every] + 1 if years >= 1 else 1):
        angle = 2 * math.pi * wave * middle / YEAR_DAYS
        columns += [np.sin(angle), np.cos(angle)]
    if of.every == "day":
        weekday = (starts.astype(np.int64) + 3) % 7
        columns += [(weekday == day).astype(np.float64) for day in range(6)]
    unknown = []
    for name, share in exposure(starts, ends).items():
        if np.count_nonzero(share[: -max(WINDOWS)] >= SMALLEST_OCCASION) > 1:
            columns.append(share)
        elif share[-1] >= SMALLEST_OCCASION:
            unknown.append(name)
    alike, in_occasion = _a_year_ago(middle), np.zeros(len(starts), np.bool_)
    if of.every == "day":
        alike, in_occasion = _into_occasions(starts, alike)
    return Reference(np.column_stack(columns), alike, in_occasion, tuple(unknown))


def steps(values: Floats, noise: Floats, expected_from: Reference) -> list[Step]:
    """Steps over the last 1, 2 and 4 periods, each tested alone; none where too little is known.

    What the same season of earlier years was off by as well is taken from an effect: it is no drift.

    Args:
        values: (T,) one per period; NaN where unknown.
        noise: (T,) variance that each has from its own rows.
        expected_from: Of the same periods.
    """
    known = np.isfinite(values)
    y, x = values[known], expected_from.design[known]
    x = x[:, _varying(x[: -max(WINDOWS)])]
    before = len(y) - max(WINDOWS)
    if not known[-1] or before < max(2 * x.shape[1], FEWEST_KNOWN):
        return []
    memory, residuals = _memory(x, y, before)
    low, high = _usual(residuals, known, expected_from)
    more_noise = max(0.0, float(noise[-1] - noise[known][:-1].mean()))
    floor = float(np.mean(noise[known])) * 0.25
    q, _ = np.linalg.qr(_remembering(x, memory))
    freedom = len(y) - q.shape[1] - 2
    if freedom < 1:
        return []
    series = _without(q, _remembering(y[:, np.newaxis], memory)[:, 0])
    made = []
    for window in WINDOWS:
        effect, information = _effect(q, series, memory, window)
        if information > SMALLEST_INFORMATION:
            left_over = float(series @ series) - effect**2 * information
            variance = max(left_over / freedom, floor * (1 - memory**2))
            error = math.sqrt(variance / information + more_noise / window)
            left = _beyond(effect, float(low[-window:].mean()), float(high[-window:].mean()))
            made.append(Step(window, left, student_two_sided(abs(left) / error, freedom)))
    return made


def _effect(q: Floats, series: Floats, memory: float, window: int) -> tuple[float, float]:
    """Least squares step over the last periods of a series without design and memory, and what is known of it."""
    dummy = np.zeros((len(series), 1))
    dummy[-window:] = 1.0
    told = _without(q, _remembering(dummy, memory)[:, 0])
    information = float(told @ told)
    return float(told @ series) / max(information, SMALLEST_INFORMATION), information


def _without(q: Floats, column: Floats) -> Floats:
    """What an orthonormal basis leaves of a column."""
    left: Floats = column - q @ (q.T @ column)
    return left


def _beyond(effect: float, low: float, high: float) -> float:
    """What is left of an effect without what earlier years had of it as well."""
    return max(0.0, effect - max(high, 0.0)) if effect > 0 else min(0.0, effect - min(low, 0.0))


def _remembering(columns: Floats, memory: float) -> Floats:
    """(T, k) each row without what it remembers of the one before."""
    made: Floats = columns.copy()
    made[1:] -= memory * columns[:-1]
    made[0] *= math.sqrt(1 - memory**2)
    return made


def _memory(x: Floats, y: Floats, before: int) -> tuple[float, Floats]:
    """AR(1) coefficient of the errors before the last periods, and the (T,) errors of all.

    The residuals of a fit remember less than the errors: to first order by (1 + 3 rho + k (1 + rho)) / T less.
    """
    beta, *_ = np.linalg.lstsq(x[:before], y[:before], rcond=None)
    residuals: Floats = y - x @ beta
    past = residuals[:before]
    total = float(past @ past)
    found = float(past[1:] @ past[:-1]) / total if total > 0 else 0.0
    spent = x.shape[1] - 1
    corrected = found + (1 + 3 * found + spent * (1 + found) / 2) / before
    return min(max(corrected, 0.0), STRONGEST_MEMORY), residuals


def _usual(residuals: Floats, known: NDArray[np.bool_], expected_from: Reference) -> tuple[Floats, Floats]:
    """(T,) lowest and highest error that alike earlier periods had: their mean, in occasions their range; else 0."""
    whole = np.full(len(known), np.nan)
    whole[known] = residuals
    earlier = np.where(expected_from.alike >= 0, whole[expected_from.alike], np.nan)[known]
    there = np.isfinite(earlier)
    mean = np.nansum(earlier, axis=1) / np.maximum(there.sum(axis=1), 1)
    inside = expected_from.in_occasion[known]
    low, high = (
        np.where(inside, bound(np.where(there, earlier, 0.0), axis=1), mean) for bound in (np.min, np.max)
    )
    return low, high


def _a_year_ago(middle: Floats) -> NDArray[np.intp]:
    years = max(1, math.ceil((middle[-1] - middle[0]) / YEAR_DAYS))
    found = np.full((len(middle), years), -1, np.intp)
    half = float(np.median(np.diff(middle))) / 2 if len(middle) > 1 else 0.0
    for year in range(1, years + 1):
        at = middle - year * YEAR_DAYS
        nearest = np.clip(np.searchsorted(middle, at - half), 0, len(middle) - 1)
        close = np.abs(middle[nearest] - at) <= half + 1
        found[:, year - 1] = np.where(close, nearest, -1)
    return found


def _into_occasions(days: Dates, alike: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """`alike` with the days of occasions in place of those of their season, and which days these are."""
    rows: list[list[int]] = [row[row >= 0].tolist() for row in alike]
    inside = np.zeros(len(days), np.bool_)
    short = {name for name, (first, after) in LENGTHS.items() if after - first <= SHORT_DAYS}
    for place in (place for name, place in places(days).items() if name in short):
        within = np.flatnonzero(place != OUTSIDE)
        for t in within.tolist():
            earlier = within[(within < t - DAYS_APART) & (np.abs(place[within] - place[t]) <= DAYS_BESIDE)]
            rows[t] = (rows[t] if inside[t] else []) + earlier.tolist()
            inside[t] = True
    made = np.full((len(days), max(map(len, rows))), -1, np.intp)
    for t, row in enumerate(rows):
        made[t, : len(row)] = row
    return made, inside


def _varying(x: Floats) -> NDArray[np.bool_]:
    return (
        np.concatenate([[True], np.ptp(x[:, 1:], axis=0) > 0]) if len(x) else np.zeros(x.shape[1], np.bool_)
    )
