"""The whole gate: every check on the lake as it is, closed where anything cannot be told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import polars as pl

from ml.data_gate import daily, presence, whole
from ml.data_gate.check import Check, closed, failed, overall
from ml.data_gate.recent import Recent, recent_of
from ml.data_gate.report import Report
from ml.data_gate.whole import Arrivals
from ml.errors import MlError, NotEnoughHistory
from ml.lake import Lake
from ml.panel import data_version_of, load_history
from ml.settings import MlSettings

UNREADABLE: Final = "readable"
"""The only check where the events cannot be read at all."""

OF_RECENT: Final[dict[str, Callable[[Recent], Check]]] = {
    "duplicates": whole.duplicates,
    "currency": whole.currency,
    "volume": daily.volume,
    "gaps": presence.gaps,
    "silent": presence.silent,
    "vanished": presence.vanished,
    "repeated": daily.repeated,
    "unseen_products": daily.unseen_products,
    "unseen_categories": daily.unseen_categories,
    "price_jumps": daily.price_jumps,
    "quantities": daily.quantities,
    "hours": daily.hours,
}
"""Checks that need nothing but the newest days."""


@dataclass(frozen=True, eq=False)
class Data:
    """What is judged: `events` in `EVENT_SCHEMA`, `panel` in `PANEL_SCHEMA`, and what `arrived` by its first moment."""

    events: pl.LazyFrame
    panel: pl.DataFrame
    arrived: Callable[[datetime], Arrivals]


def checks(data: Data, settings: MlSettings, *, now: datetime, as_of: datetime | None) -> tuple[Check, ...]:
    """Every check; none raises, whatever the data is.

    Args:
        data: What is judged.
        settings: Zone, limits and thresholds.
        now: Aware; nothing can have happened later.
        as_of: Aware; the data is judged as somebody then could. None: as of its newest event.
    """
    try:
        newest = _newest(data.events, as_of)
        recent = recent_of(data.events, settings.quality, settings.shop_zone, as_of)
    except Exception as error:  # noqa: BLE001 - what cannot be read must not pass
        return (failed(UNREADABLE, f"the events cannot be read ({type(error).__name__}: {error})"),)
    moment = as_of or newest or now
    made: dict[str, Callable[[], Check]] = {
        "freshness": partial(whole.freshness, newest, settings, moment),
        "panel_schema": partial(whole.panel_schema, data.panel, settings.quality.rows_named),
        "events_schema": lambda: whole.events_schema(_known(recent), settings, now),
        "refused": lambda: whole.refused(data.arrived(_since(recent, moment, settings)), settings),
        **{name: partial(_of_recent, check, recent) for name, check in OF_RECENT.items()},
    }
    return tuple(closed(name, make) for name, make in made.items())


def run_gate(lake: Lake, settings: MlSettings, *, now: datetime, as_of: datetime | None) -> Report:
    """The report on the lake as it is now; it is not stored.

    Raises:
        StoreUnavailable: The lake cannot be read.
    """
    version = _data_version(lake)

    def arrived(since: datetime) -> Arrivals:
        came = lake.read("quarantine", ["row_id", "reason", "source", "refused_at"])
        return Arrivals(
            lake.rows_added("events", since),
            came.filter(pl.col("refused_at") >= since).drop("refused_at").collect(),
        )

    data = Data(lake.read("events"), lake.read("panel").collect(), arrived)
    found = checks(data, settings, now=now, as_of=as_of)
    newest = None if found[0].name == UNREADABLE else _newest(data.events, as_of)
    return Report(overall(found), version, as_of or newest or now, now, newest, found)


def _known(recent: Recent | None) -> Recent:
    if recent is None:
        raise NotEnoughHistory("no day of events is over")
    return recent


def _of_recent(check: Callable[[Recent], Check], recent: Recent | None) -> Check:
    return check(_known(recent))


def _since(recent: Recent | None, moment: datetime, settings: MlSettings) -> datetime:
    """The first judged moment."""
    if recent is None:
        return moment - timedelta(days=settings.quality.days)
    return datetime.combine(recent.start, datetime.min.time(), settings.zone).astimezone(UTC)


def _newest(events: pl.LazyFrame, as_of: datetime | None) -> datetime | None:
    moment = pl.col("occurred_at")
    known = events if as_of is None else events.filter(moment <= as_of)
    newest: datetime | None = known.select(moment.max()).collect(engine="streaming").item()
    return newest


def _data_version(lake: Lake) -> str | None:
    """Of the panel with its plan and stock; None where there is none."""
    try:
        return data_version_of(load_history(lake)).name
    except MlError:
        return None
