"""What a day is usually like: the same weekday in the weeks before it, by median and MAD."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ml.data_gate.recent import Days, Recent
from ml.errors import NotEnoughHistory
from ml.history import Floats

WEEK: Final = 7
MAD_TO_SIGMA: Final = 1.4826
"""A normal sample's standard deviation over its median absolute deviation (Rousseeuw and Croux 1993)."""
FEW_WEEKS: Final = 0.8
"""The median absolute deviation of n values is too small by about n / (n - 0.8) (Croux and Rousseeuw 1992)."""


@dataclass(frozen=True, eq=False)
class Usual:
    """Of a statistic with one row per day, in its shape; NaN where too few weeks are known.

    Attributes:
        median: Of the same weekday in the weeks before.
        spread: Its robust standard deviation, by median absolute deviation.
    """

    median: Floats
    spread: Floats


def usual_of(values: Floats, recent: Recent) -> Usual:
    """The same weekday of the weeks before each day.

    Args:
        values: One row for each of `recent.days`, NaN where not known.
        recent: Says which days may be compared with, and how many weeks.
    """
    settings, known = recent.settings, values.copy()
    known[~recent.usable] = np.nan
    lagged = np.full((settings.weeks, *values.shape), np.nan)
    for week in range(1, settings.weeks + 1):
        lagged[week - 1, WEEK * week :] = known[: -WEEK * week]
    weeks = np.isfinite(lagged).sum(axis=0)
    enough = weeks >= settings.smallest_weeks
    median, spread = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    if enough.any():
        found = lagged[:, enough]
        median[enough] = np.nanmedian(found, axis=0)
        few = weeks[enough] / (weeks[enough] - FEW_WEEKS)
        spread[enough] = MAD_TO_SIGMA * few * np.nanmedian(np.abs(found - median[enough]), axis=0)
    return Usual(median, spread)


def pooled(spread: Floats) -> Floats:
    """A spread of few weeks, but no smaller than that of most days: eight weeks can look calmer than they are."""
    known = spread[np.isfinite(spread)]
    common: Floats = np.fmax(spread, np.median(known)) if len(known) else spread
    return common


def level_of(deviation: Floats, most: float) -> Floats:
    """How far the seven days before each were off, by median, within ± `most`; 0 where fewer than four are known.

    A shop that slowly grows, or comes back from a holiday, is off every day; a day is judged beside its neighbours.
    """
    level = np.zeros_like(deviation)
    for day in range(1, len(deviation)):
        before = deviation[max(0, day - WEEK) : day]
        known = before[np.isfinite(before)]
        if len(known) > WEEK // 2:
            level[day] = np.median(known).clip(-most, most)
    return level


@dataclass(frozen=True, eq=False)
class Daily:
    """A statistic of the judged days, larger is worse, and the bounds of each day; NaN where nothing is known."""

    days: Days
    values: Floats
    warn: Floats
    fail: Floats

    @classmethod
    def of(cls, recent: Recent, values: Floats, noise: Floats, bounds: tuple[float, float]) -> "Daily":
        """A day is found from a bound on, unless that is within `sigmas` times its noise.

        Raises:
            NotEnoughHistory: No day can be judged.
        """
        surely = recent.settings.sigmas * noise
        known = recent.usable & np.isfinite(values) & np.isfinite(surely)
        parts = (values, *(np.maximum(bound, surely) for bound in bounds))
        found = cls(
            recent.days[-recent.judged :], *(np.where(known, p, np.nan)[-recent.judged :] for p in parts)
        )
        if not np.isfinite(found.values).any():
            raise NotEnoughHistory("no day has enough events and enough weeks before it")
        return found

    def found(self) -> tuple[str, Days]:
        """The verdict and the days that made it."""
        with np.errstate(invalid="ignore"):
            fails, warns = self.values >= self.fail, self.values >= self.warn
        if fails.any():
            return "fail", self.days[fails]
        return ("warn", self.days[warns]) if warns.any() else ("pass", self.days[:0])

    def worst(self) -> int:
        """The day nearest to its bound, or farthest beyond."""
        return int(np.nanargmax(self.values / self.fail))
