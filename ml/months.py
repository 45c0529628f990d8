"""Months of the shop: which one an instant belongs to, which are empty, which lie apart from the rest."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from ml.errors import NotEnoughHistory
from ml.settings import MlSettings

ISOLATED_SHARE: Final = 0.005
"""Rows beyond an empty month are wrong dates, not history, when they are fewer than this share of all."""


def shop_month(moment: pl.Expr, zone: str) -> pl.Expr:
    """First day (`pl.Date`) of the month in `zone` that an instant falls in."""
    return moment.dt.convert_time_zone(zone).dt.date().dt.month_start()


def months_between(first: date, last: date) -> Sequence[date]:
    """First days of all months from `first` to `last`, both included."""
    return pl.date_range(first.replace(day=1), last.replace(day=1), "1mo", eager=True).to_list()


def empty_months(rows: Mapping[date, int]) -> Sequence[date]:
    """Months without a row between the first and the last month that have some, oldest first."""
    return [month for month in months_between(min(rows), max(rows)) if month not in rows] if rows else []


def months_apart(rows: Mapping[date, int]) -> tuple[frozenset[date], frozenset[date]]:
    """Months before, and months after, the bulk: cut off from it by a whole month without any row.

    Each side holds less than `ISOLATED_SHARE` of all rows; of several cuts the nearest to the bulk counts.

    Args:
        rows: Rows by first day of the month, months without a row absent.
    """
    gaps, few = empty_months(rows), ISOLATED_SHARE * sum(rows.values())
    before: frozenset[date] = frozenset()
    after: frozenset[date] = frozenset()
    for gap in gaps:
        older = frozenset(month for month in rows if month < gap)
        newer = frozenset(rows) - older
        before = older if sum(rows[month] for month in older) < few else before
        after = newer if not after and sum(rows[month] for month in newer) < few else after
    return before, after


def month_end(month: date, zone: ZoneInfo) -> datetime:
    """The first instant after `month` (its first day) in `zone`, in UTC."""
    following = (month + timedelta(days=31)).replace(day=1)
    return datetime(following.year, following.month, 1, tzinfo=zone).astimezone(UTC)


def last_complete_month(newest: datetime | None, settings: MlSettings, now: datetime) -> date:
    """First day of the last month that is complete, see `ml.panel.build_panel`, when `newest` is the latest event.

    Raises:
        NotEnoughHistory: There are no events.
    """
    if newest is None:
        raise NotEnoughHistory("the lake has no events; run `python -m ml ingest` first")
    month = newest.astimezone(settings.zone).date().replace(day=1)
    tolerance, lateness = (
        timedelta(days=settings.last_day_tolerance_days),
        timedelta(days=settings.lateness_days),
    )
    while True:
        end = month_end(month, settings.zone)
        if newest >= end - tolerance and now >= end + lateness:
            return month
        month = (month - timedelta(days=1)).replace(day=1)
