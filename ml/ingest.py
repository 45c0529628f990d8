"""Events into the lake: from a shop's files, and from the inbox of the collector."""

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from ml.errors import BadEvents, LakeMoved, StoreUnavailable
from ml.event_batch import EventBatch, IngestReport, event_batch
from ml.event_files import find_files, read_file
from ml.event_rows import Reading, rows_of_events, rows_of_file
from ml.event_store import EventStore, StoredEvent
from ml.events import CURRENCY_PATTERN
from ml.file_checks import ALLOWABLE, FileChecks, Known, check_pseudonyms, known
from ml.lake import Lake
from ml.mapping import map_columns
from ml.months import months_apart, shop_month
from ml.progress import Progress
from ml.pseudonym import is_pseudonym, pseudonymised
from ml.quality import judge_rows
from ml.settings import MlSettings

_LOG = logging.getLogger(__name__)
Result = TypeVar("Result")

INBOX_BATCH: Final = 50_000
MOST_ATTEMPTS: Final = 20
_NOTHING_KNOWN: Final = Known({}, {}, frozenset(), None)


@dataclass(frozen=True)
class _Import:
    """One call of `import_file`."""

    path: Path
    settings: MlSettings
    mapping: Mapping[str, str]
    timezone: str | None
    currency: str | None
    allow: frozenset[str]
    now: datetime
    progress: Progress
    key: bytes | None

    def __post_init__(self) -> None:
        if unknown := sorted(self.allow - ALLOWABLE):
            names = ", ".join(sorted(ALLOWABLE))
            raise BadEvents("unknown-check", f"--allow {unknown[0]} names no check; the checks are {names}")
        if self.currency is not None and re.match(CURRENCY_PATTERN, self.currency) is None:
            raise BadEvents(
                "unknown-currency", f"--currency {self.currency!r} is no ISO 4217 code such as EUR"
            )

    def batch(self, have: Known) -> EventBatch:
        """The judged rows of all files, after the checks against what the lake has."""
        rows, derived = self._rows()
        self.progress(0, rows.height, "check rows")
        checks = FileChecks(self.path.name, have, self.settings, self.allow, self.now)
        reasons = checks.refuse(rows, judge_rows(rows, self.settings.excluded_categories))
        return event_batch(self.path.name, rows, reasons, self.settings.shop_zone, derived=derived)

    def _rows(self) -> tuple[pl.DataFrame, bool]:
        """All rows of all files in `ROW_SCHEMA`, and whether any got its id from its content."""
        files, parts, derived = find_files(self.path), [], False
        for place, file in enumerate(files):
            self.progress(place, len(files), f"read {file.name}")
            frame = read_file(file)
            columns = map_columns(frame.columns, self.mapping)
            self._check_currency(columns, frame.columns)
            name = file.name if self.path == file else str(file.relative_to(self.path))
            parts.append(rows_of_file(frame, name, Reading(columns, self.timezone, self.currency, self.key)))
            derived = derived or "event_id" not in columns
        self.progress(len(files), len(files), "read files")
        return pl.concat(parts), derived

    def _check_currency(self, columns: Mapping[str, str], found: list[str]) -> None:
        if self.currency is None and "currency" not in columns:
            raise BadEvents(
                "unknown-currency",
                f"none of the columns {found} is known as currency; say which it is, for example"
                " --currency EUR, or name the column with --map currency=COLUMN",
            )


def import_file(
    path: Path,
    lake: Lake,
    settings: MlSettings,
    *,
    mapping: Mapping[str, str],
    timezone: str | None,
    currency: str | None,
    allow: frozenset[str],
    now: datetime,
    progress: Progress,
) -> IngestReport:
    """Take a Parquet or CSV file, or a folder of them, into the lake; the same file again adds nothing.

    Args:
        path: File or folder.
        lake: Where accepted events and refused rows go.
        settings: Zone of the shop, limits and excluded categories.
        mapping: Source column by event field (or `price`, in whole currency units), before guesses.
        timezone: IANA zone of times that name none.
        currency: ISO 4217 code of rows that name none.
        allow: Checks of `ml.file_checks.ALLOWABLE` to pass over.
        now: Aware instant; later events are future dates.
        progress: Told about files read, rows checked and events written.

    Raises:
        BadEvents: The file as a whole cannot be taken; nothing was written.
        StoreUnavailable: The lake cannot be written; its rows are what they were.
    """
    key = settings.pseudonym_secret()
    job = _Import(path, settings, mapping, timezone, currency, allow, now, progress, key)

    def taken() -> IngestReport:
        check_pseudonyms(lake, key, allow)
        batch = job.batch(known(lake, settings))
        progress(0, batch.events.height, "write events")
        report = batch.settle(lake, now)
        progress(batch.events.height, batch.events.height, "write events")
        return report

    with lake.lock():
        return _again_if_moved(taken)


def accepted_events(
    path: Path,
    settings: MlSettings,
    *,
    mapping: Mapping[str, str],
    timezone: str | None,
    currency: str | None,
    allow: frozenset[str],
    now: datetime,
    progress: Progress,
    key: bytes | None = None,
) -> pl.DataFrame:
    """What `import_file` would take into an empty lake, in `EVENT_SCHEMA`, oldest first; nothing is written.

    Sent through the collector under these ids, the same events are duplicates in a later import of the file by the
    same pseudonym `key`; without one, ids of people are what the file says, for what is not stored.

    Raises:
        BadEvents: As `import_file`.
    """
    job = _Import(path, settings, mapping, timezone, currency, allow, now, progress, key)
    events = job.batch(_NOTHING_KNOWN).events
    return (
        events.unique("event_id", keep="first", maintain_order=True)
        .sort("occurred_at", "event_id")
        .drop("index")
    )


def drain_inbox(
    inbox: EventStore, lake: Lake, settings: MlSettings, *, now: datetime | None = None
) -> IngestReport:
    """Take what the inbox accepted since the last drain: each event once, also after a crash at any moment.

    How far the lake got is recorded in the same commit as the events, under the inbox's own identity. An
    event in another currency than the lake's, or apart from and long before all others, is refused.

    Raises:
        StoreUnavailable: The lake cannot be written, or has taken more than this inbox holds.
    """
    now = now or datetime.now(UTC)
    app_id = f"inbox-{inbox.identity}"
    with lake.lock():
        report = IngestReport("inbox", 0, 0, 0, {}, None, lake.version("events"))
        while batch := _again_if_moved(lambda: _drain_batch(inbox, lake, settings, app_id, now)):
            report += batch
        return report


def _drain_batch(
    inbox: EventStore, lake: Lake, settings: MlSettings, app_id: str, now: datetime
) -> IngestReport | None:
    """Take the next events; None when the lake has all."""
    stored = inbox.after(_taken(inbox, lake, app_id), INBOX_BATCH)
    if not stored:
        return None
    rows = rows_of_events(_pseudonymised(stored, settings), "inbox")
    reasons = _refuse_strays(rows, judge_rows(rows, settings.excluded_categories), lake, settings)
    ids = pl.Series([f"{app_id}-{item.seq}" for item in stored])
    txn = app_id, stored[-1].seq
    batch = event_batch("inbox", rows, reasons, settings.shop_zone, row_ids=ids, txn=txn)
    return batch.settle(lake, now)


def _again_if_moved(attempt: Callable[[], Result]) -> Result:
    """What an attempt gives that no other writer overtook; the one who overtakes has gone on, so this ends."""
    for left in reversed(range(MOST_ATTEMPTS)):
        try:
            return attempt()
        except LakeMoved as error:
            if not left:
                raise
            _LOG.info("lake_moved", extra={"reason": str(error), "attempts_left": left})
            time.sleep(random.uniform(0, 0.05 * (MOST_ATTEMPTS - left)))  # noqa: S311 - so that racers part
    raise AssertionError


def _pseudonymised(stored: list[StoredEvent], settings: MlSettings) -> list[StoredEvent]:
    """The collector hides ids of people; what a release before that accepted has them as they were sent."""
    if all(is_pseudonym(item.event.customer_id) and is_pseudonym(item.event.session_id) for item in stored):
        return stored
    key = settings.pseudonym_secret()
    return [replace(item, event=pseudonymised(item.event, key)) for item in stored]


def _taken(inbox: EventStore, lake: Lake, app_id: str) -> int:
    """The last `seq` of this inbox that the lake has."""
    taken, last = lake.last_txn("events", app_id) or 0, inbox.last_seq()
    if taken > last:
        raise StoreUnavailable(
            f"the lake has taken event {taken} of inbox {inbox.place!r}, which ends at {last}: this is an"
            " older copy; put the newest one back or start a new inbox"
        )
    return taken


def _refuse_strays(rows: pl.DataFrame, reasons: pl.Series, lake: Lake, settings: MlSettings) -> pl.Series:
    """`reasons` with those of events that do not belong to this shop's money or time."""
    have = known(lake, settings)
    currency = have.currency or rows["currency"].mode().sort()[0]
    reasons = reasons.set((rows["currency"] != currency) & reasons.is_null(), "other_currency")
    month = rows.select(shop_month(pl.col("occurred_at"), settings.shop_zone).alias("month"))["month"]
    before, _ = months_apart(Counter(month.filter(reasons.is_null()).to_list()) + Counter(have.rows))
    return reasons.set(month.is_in(list(before)) & reasons.is_null(), "isolated_date")
