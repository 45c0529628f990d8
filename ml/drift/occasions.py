"""Days of the year that move sales and move themselves: when they were and when they will be."""

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

Dates = NDArray[np.datetime64]

_MONTHS_OF_YEAR, _FRIDAY = 12, 4
_ISLAMIC_EPOCH: Final = date(622, 7, 19).toordinal()
_RAMADAN, _SHAWWAL, _DHU_AL_HIJJAH = 9, 10, 12

LENGTHS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "ramadan": (0, 29),
        "ramadan feast": (-7, 3),
        "sacrifice feast": (-7, 4),
        "easter": (-7, 2),
        "black friday": (-4, 4),
        "christmas and new year": (-14, 8),
    }
)
"""Days from the first that belongs to an occasion to the one after its last, counted from its named day."""

OUTSIDE: Final = 1_000


def exposure(starts: Dates, ends: Dates) -> dict[str, NDArray[np.float64]]:
    """The share of each period's days that belong to an occasion, by the occasion's name.

    Args:
        starts: (T,) first day of each period, `datetime64[D]`.
        ends: (T,) the day after its last.
    """
    found = {}
    for name, (first, after) in LENGTHS.items():
        days = np.zeros(len(starts))
        for day in _named_days(name, starts, ends):
            begin, end = day + first, day + after
            days += np.maximum(0, (np.minimum(ends, end) - np.maximum(starts, begin)).astype(np.int64))
        found[name] = days / (ends - starts).astype(np.int64)
    return found


def places(days: Dates) -> dict[str, NDArray[np.int64]]:
    """(T,) how many days each day lies after the named day of an occasion that it belongs to, by its name.

    `OUTSIDE` where it belongs to none of this name.

    Args:
        days: (T,) `datetime64[D]`.
    """
    found = {}
    for name, (first, after) in LENGTHS.items():
        place = np.full(len(days), OUTSIDE)
        for day in _named_days(name, days, days + 1):
            away = (days - day).astype(np.int64)
            place = np.where((away >= first) & (away < after), away, place)
        found[name] = place
    return found


def _named_days(name: str, starts: Dates, ends: Dates) -> list[np.datetime64]:
    years = range(int(str(starts[0])[:4]) - 1, int(str(ends[-1])[:4]) + 2)
    return [np.datetime64(day, "D") for day in sorted({day for year in years for day in _days(name, year)})]


def _days(name: str, year: int) -> list[date]:
    """The named day of an occasion in a year of the Gregorian calendar; an Islamic one may come twice."""
    if name == "easter":
        return [easter(year)]
    if name == "black friday":
        return [_black_friday(year)]
    if name == "christmas and new year":
        return [date(year, 12, 25)]
    month, day = {"ramadan": (_RAMADAN, 1), "ramadan feast": (_SHAWWAL, 1)}.get(name, (_DHU_AL_HIJJAH, 10))
    islamic = int((year - 622) * 33 / 32)
    return [found for k in range(islamic - 1, islamic + 3) if (found := _islamic(k, month, day)).year == year]


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def _black_friday(year: int) -> date:
    """The day after the fourth Thursday of November."""
    first = date(year, 11, 1)
    return first + timedelta(days=(_FRIDAY - 1 - first.weekday()) % 7 + 3 * 7 + 1)


def _islamic(year: int, month: int, day: int) -> date:
    """A day of the tabular Islamic calendar (Reingold and Dershowitz, Calendrical Calculations, 7.1).

    Countries that look for the moon are at most two days away from it, so occasions are given days on both sides.
    """
    elapsed = day + 29 * (month - 1) + month // 2
    return date.fromordinal(_ISLAMIC_EPOCH + elapsed + (year - 1) * 354 + (3 + 11 * year) // 30 - 1)
