"""Which even steps the dates of a panel take: months, four weeks, weeks, days or anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Dates = NDArray[np.datetime64]

DAYS_OF_WEEK: Final = 7
WEEKS_OF_YEAR: Final = 52
MONTHS_OF_YEAR: Final = 12
EARLIEST_MONTH_END: Final = 26
"""Dates that all lie on this day of their month or later, one a month, are month ends (of business days)."""


@dataclass(frozen=True, eq=False)
class Periods:
    """Evenly spaced dates.

    Attributes:
        starts: (T,) `datetime64[M]` or `[D]`, `step` apart, from the first date to the last.
        columns: For each date its place in `starts`.
        step: Months or days.
    """

    starts: Dates
    columns: NDArray[np.int64]
    step: int

    @property
    def usual_season(self) -> int:
        """Periods of a year, of a week where periods are single days; at least 1."""
        if self.unit == "M":
            return max(1, MONTHS_OF_YEAR // self.step)
        if self.step == 1:
            return DAYS_OF_WEEK
        return max(1, DAYS_OF_WEEK * WEEKS_OF_YEAR // self.step)

    @property
    def unit(self) -> Literal["M", "D"]:
        """Months or days."""
        return "M" if self.starts.dtype == np.dtype("datetime64[M]") else "D"


def periods(dates: Dates) -> Periods:
    """The longest even steps that meet all dates.

    Args:
        dates: At least one, `datetime64[D]`, in any order, also repeated.
    """
    unique = np.unique(dates)
    unit = "M" if _one_a_month(unique) else "D"
    place = dates.astype(f"datetime64[{unit}]").astype(np.int64)
    apart = np.diff(np.unique(place))
    step = int(np.gcd.reduce(apart)) if len(apart) else 1
    starts = np.arange(place.min(), place.max() + 1, step).astype(f"datetime64[{unit}]")
    return Periods(starts, (place - place.min()) // step, step)


def _one_a_month(unique: Dates) -> bool:
    """Whether no two dates share a month, and all are the same day of it or at its end."""
    months = unique.astype("datetime64[M]")
    day = (unique - months.astype("datetime64[D]")).astype(np.int64) + 1
    if len(np.unique(months)) < len(unique):
        return False
    return bool(day.min() == day.max() or day.min() >= EARLIEST_MONTH_END)
