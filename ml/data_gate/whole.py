"""Checks of the data as a whole: what it may hold at all, how old it is, how much of it was refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from ml.data_gate.check import Check, failed, judged, rows_of
from ml.data_gate.recent import Recent
from ml.errors import NotEnoughHistory
from ml.quality import event_failures, panel_failures
from ml.settings import MlSettings


@dataclass(frozen=True, eq=False)
class Arrivals:
    """What came into the lake since the first judged day: events `accepted`, and `refused` rows by their reason.

    `refused` has `row_id`, `reason`, `source`.
    """

    accepted: int
    refused: pl.DataFrame


def events_schema(recent: Recent, settings: MlSettings, now: datetime) -> Check:
    """Events of the judged days and the weeks before them with a value that no event may have."""
    latest = now + timedelta(seconds=settings.future_tolerance_seconds)
    broken = event_failures(recent.rows, settings.shop_zone, latest, settings.max_quantity)
    rows = recent.rows.with_row_index().join(broken, on="index").select("event_id", "product_id", "reason")
    return _none_may("events_schema", "events", recent.rows.height, rows, recent.settings.rows_named)


def panel_schema(panel: pl.DataFrame, most: int) -> Check:
    """Rows of the panel that break a rule of `ml.quality`."""
    if panel.height == 0:
        return failed("panel_schema", "there is no panel; run `python -m ml panel` after an import")
    panel = panel.sort("product_id", "month")
    rows = (
        panel.with_row_index().join(panel_failures(panel), on="index").select("product_id", "month", "reason")
    )
    return _none_may("panel_schema", "rows of the panel", panel.height, rows, most)


def duplicates(recent: Recent) -> Check:
    """Events whose id another event has."""
    twice = recent.rows.filter(pl.col("event_id").is_duplicated()).select("event_id", "product_id")
    return _none_may("duplicates", "events", recent.rows.height, twice, recent.settings.rows_named)


def freshness(newest: datetime | None, settings: MlSettings, as_of: datetime) -> Check:
    """Days since the newest event."""
    if newest is None:
        return failed(
            "freshness", f"the lake has no event up to {as_of:%Y-%m-%d %H:%M} UTC; import some first"
        )
    limits, days = settings.quality, (as_of - newest).total_seconds() / 86_400
    reason = f"the newest event is of {newest:%Y-%m-%d %H:%M} UTC, {days:.1f} days before {as_of:%Y-%m-%d %H:%M} UTC"
    verdict = judged(days, limits.stale_warn, limits.stale_fail)
    return Check("freshness", verdict, days, limits.stale_fail, reason)


def refused(arrivals: Arrivals, settings: MlSettings) -> Check:
    """Share of the rows that came since the first judged day that were refused."""
    limits, bad = settings.quality, arrivals.refused.height
    came = arrivals.accepted + bad
    if came == 0:
        raise NotEnoughHistory("no row came since the first judged day")
    reasons = arrivals.refused.group_by("reason", "source").agg(pl.len().alias("refused"))
    _, rows = rows_of(reasons, limits.rows_named)
    verdict = judged(bad / came, limits.refused_warn, limits.refused_fail)
    reason = f"{bad:,} of {came:,} rows that came since the first judged day were refused"
    return Check("refused", verdict, bad / came, limits.refused_fail, reason, bad, rows)


def currency(recent: Recent) -> Check:
    """Share of events in another currency than most: prices in two currencies make no mean."""
    counts = (
        recent.rows["currency"]
        .drop_nulls()
        .value_counts()
        .sort(["count", "currency"], descending=[True, False])
    )
    if counts.height == 0:
        raise NotEnoughHistory("no event has a currency")
    main = counts["currency"][0]
    others = recent.rows.filter(pl.col("currency") != main).select("event_id", "product_id", "currency")
    count, rows = rows_of(others, recent.settings.rows_named)
    share, limit = count / recent.rows.height, recent.settings.currency_fail
    reason = f"{count:,} of {recent.rows.height:,} events are not in {main}"
    return Check("currency", "fail" if share > limit else "pass", share, limit, reason, count, rows)


def _none_may(name: str, what: str, total: int, rows: pl.DataFrame, most: int) -> Check:
    count, named = rows_of(rows, most)
    reason = (
        f"{count:,} of {total:,} {what} are wrong" if count else f"{total:,} {what} looked at, none is wrong"
    )
    return Check(name, "fail" if count else "pass", float(count), 1.0, reason, count, named)
