"""Whether the histories that callers send are like the shop's own and like those of the weeks before.

Reported beside the verdict, without a vote: one caller's batch of a thousand histories rises and falls together, and
how many independent callers a week had is not known, so no rate of false alarms could be promised. A week's distances
stand beside those of the weeks before it, which say what is usual.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from ml.demand_class import CLASSES, demand_class
from ml.distribution import Floats
from ml.features import seen
from ml.history import History
from ml.served import Served

WEEKS: Final = 13
"""The newest ones that are told."""
FEWEST: Final = 30
"""Histories of a week, and of those before it, from which on a distance is told."""
NUMBERS: Final = ("history_months", "last_month_units")
KIND: Final = "demand_class"

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Week:
    """What callers sent in one week.

    Attributes:
        week: Its Monday (UTC), ISO 8601.
        samples: Histories whose numbers were kept.
        shop: How far they are from the shop's products, by name from 0 (alike) to 1; None for too few.
        before: How far from all samples of the weeks before.
    """

    week: str
    samples: int
    shop: Mapping[str, float] | None
    before: Mapping[str, float] | None


@dataclass(frozen=True)
class LiveRequests:
    """Weeks with samples, the oldest first, and how many files of them could not be read."""

    weeks: tuple[Week, ...]
    unreadable: int


def live_requests(history: History, parts: Iterable[tuple[str, Served | None]]) -> LiveRequests:
    """Compare what callers sent with the products of a history, and each week with those before it.

    Args:
        history: What the model was trained on, or newer.
        parts: As `ml.served.served_parts` gives them.
    """
    samples: dict[date, list[dict[str, Any]]] = {}
    unreadable = 0
    for _, part in parts:
        if part is None:
            unreadable += 1
        elif part.samples:
            samples.setdefault(_monday(part.until), []).extend(part.samples)
    shop, told = _of_shop(history), []
    earlier: list[dict[str, Any]] = []
    for week in sorted(samples):
        sent = samples[week]
        told.append(
            Week(week.isoformat(), len(sent), distances(_of(sent), shop), distances(_of(sent), _of(earlier)))
        )
        earlier += sent
    return LiveRequests(tuple(told[-WEEKS:]), unreadable)


def first_day(now: datetime) -> datetime:
    """From when on files are read."""
    return now - timedelta(weeks=WEEKS)


def distances(one: Values, other: Values) -> dict[str, float] | None:
    """How far two sets are apart in each thing, from 0 to 1; None where one of them is too small to tell.

    Of numbers the largest difference of their cumulative shares (Kolmogorov and Smirnov's statistic), of kinds half
    the sum of differences of their shares (total variation).
    """
    if min(len(one[KIND]), len(other[KIND])) < FEWEST:
        return None
    apart = {name: _largest_difference(np.array(one[name]), np.array(other[name])) for name in NUMBERS}
    return {KIND: _total_variation(Counter(one[KIND]), Counter(other[KIND])), **apart}


def _of(samples: Sequence[Mapping[str, Any]]) -> Values:
    return {name: [each[name] for each in samples] for name in (KIND, *NUMBERS)}


def _of_shop(history: History) -> Values:
    """The same of the products that were sold at least once and are still known in the last month."""
    months, last = seen(history, history.T).months, history.units[:, -1]
    use = np.flatnonzero((months > 0) & np.isfinite(last))
    kinds = demand_class(history)[use].tolist()
    return {
        KIND: [CLASSES[kind] for kind in kinds],
        "history_months": months[use].tolist(),
        "last_month_units": last[use].tolist(),
    }


def _monday(moment: str) -> date:
    day = datetime.fromisoformat(moment).astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def _largest_difference(one: Floats, other: Floats) -> float:
    points = np.union1d(one, other)
    shares = [np.searchsorted(np.sort(each), points, side="right") / each.size for each in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _total_variation(one: Counter[str], other: Counter[str]) -> float:
    kinds = one.keys() | other.keys()
    return sum(abs(one[kind] / one.total() - other[kind] / other.total()) for kind in kinds) / 2
