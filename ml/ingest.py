"""Events into the lake, each once, with a reason for every row that is not taken.

Refused rows are written before the accepted ones: a run that dies between the two is repeated whole, and both
tables know by id what they have.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from ml.columns import CONTENT, EVENT_SCHEMA, QUARANTINE_SCHEMA
from ml.errors import BadEvents, StoreUnavailable
from ml.event_files import find_files, read_file
from ml.event_rows import EVENT_ID_KEY, ROW_SCHEMA, Reading, digests, rows_of_events, rows_of_file
from ml.event_store import Inbox
from ml.events import CURRENCY_PATTERN
from ml.file_checks import ALLOWABLE, FileChecks, Known, known
from ml.lake import Lake
from ml.mapping import map_columns, require
from ml.months import months_apart, shop_month
from ml.quality import judge_rows
from ml.settings import MlSettings

Progress = Callable[[str, int, int], None]
"""Called with a stage, how much of it is done and how much there is."""

INBOX_BATCH: Final = 50_000


@dataclass(frozen=True)
class IngestReport:
    """What became of every row: `accepted + duplicate + sum(refused) == rows`.

    Attributes:
        event_id_key: How rows without an id got one; None where the source has ids.
        events_version: Delta version of the lake's events afterwards, None while there are none.
    """

    source: str
    rows: int
    accepted: int
    duplicate: int
    refused: Mapping[str, int]
    event_id_key: str | None
    events_version: int | None

    def __post_init__(self) -> None:
        settled = self.accepted + self.duplicate + sum(self.refused.values())
        if settled != self.rows:
            raise AssertionError(f"{settled} of {self.rows} rows of {self.source!r} are accounted for")

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class ImportOptions:
    """How to read files, see `import_file`."""

    mapping: Mapping[str, str]
    timezone: str | None = None
    currency: str | None = None
    allow: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if unknown := sorted(self.allow - ALLOWABLE):
            raise BadEvents(
                "unknown-check", f"--allow {unknown[0]} names no check; there are {', '.join(sorted(ALLOWABLE))}"
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
        now: Aware instant that later events count as future.
        progress: Told about files read and rows written.

    Raises:
        BadEvents: The file as a whole cannot be taken; nothing was written.
        StoreUnavailable: The lake cannot be written; its rows are what they were.
    """
    options = ImportOptions(mapping, timezone, currency, allow)
    rows, key = read_rows(path, options, progress)
    with lake.lock():
        checks = FileChecks(path.name, known(lake, settings), settings, allow, now)
        reasons = checks.refuse(rows, judge_rows(rows, settings.excluded_categories))
        row_ids = _row_ids(rows)
        batch = _Batch(path.name, rows, reasons, row_ids, key, None)
        return _settle(batch, lake, settings, now, progress)
