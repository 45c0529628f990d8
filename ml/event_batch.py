"""Judged rows on their way into the lake: each event once, each refused row once, both or neither.

Refused rows are written before the accepted ones: a run that dies between the two is repeated whole, and both
tables know by id what they have. Delta would let two writers append the same rows at once; `EventBatch.settle`
does not.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

import polars as pl

from ml.columns import CONTENT, EVENT_SCHEMA, QUARANTINE_SCHEMA
from ml.errors import LakeMoved, StoreUnavailable
from ml.event_rows import EVENT_ID_KEY, digests
from ml.lake import NEW, Lake
from ml.months import shop_month

INDEX: Final = "index"
_COMPARE_ROWS: Final = 100_000


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

    def __add__(self, later: "IngestReport") -> "IngestReport":
        """Both reports of one source, as of the later one."""
        return replace(
            later,
            rows=self.rows + later.rows,
            accepted=self.accepted + later.accepted,
            duplicate=self.duplicate + later.duplicate,
            refused=dict(sorted((Counter(self.refused) + Counter(later.refused)).items())),
        )

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class EventBatch:
    """Judged rows that go into the lake together.

    Attributes:
        source: Name of the file, or `inbox`.
        reasons: Why a row is refused, null where it is not; one per row.
        raw: The rows as JSON.
        events: The rows that are not refused, in `EVENT_SCHEMA`, and their `INDEX` in the batch.
        derived: Whether ids were made from the content, so that an id cannot come with another time.
        row_ids: Names of the rows that a retry gives again; by content when absent.
        txn: Application transaction recorded with the events.
    """

    source: str
    reasons: pl.Series
    raw: pl.Series
    events: pl.DataFrame
    derived: bool = False
    row_ids: pl.Series | None = None
    txn: tuple[str, int] | None = None

    def settle(self, lake: Lake, now: datetime) -> IngestReport:
        """Write the batch to the lake and count what became of its rows.

        Events are written onto the version that they were compared with, or not at all; so each is in the lake once
        also when another machine writes, whom the lake's lock does not reach.

        Raises:
            LakeMoved: Another writer was faster; read again and settle what is then left.
            StoreUnavailable: The lake cannot be written; its rows are what they were.
        """
        onto = _standing(lake, "events")
        if self.txn and (lake.last_txn("events", self.txn[0]) or 0) >= self.txn[1]:
            raise LakeMoved("events", onto, onto)
        fresh, conflicts = self._sort_out(lake)
        reasons = self.reasons.scatter(conflicts, "id_conflict")
        before = lake.version("quarantine")
        written = self._quarantine(reasons, lake, now)
        try:
            if fresh.height or self.txn:
                note = {"source": self.source, "ingested_at": now.isoformat()}
                lake.append("events", fresh, self.txn, onto=onto, note=note)
        except LakeMoved:
            raise
        except StoreUnavailable:
            with contextlib.suppress(StoreUnavailable):  # else the retry knows these rows by their id
                if written is not None and lake.version("quarantine") == written:
                    lake.restore("quarantine", before)
            raise
        return self._report(fresh.height, reasons, lake)

    def _report(self, accepted: int, reasons: pl.Series, lake: Lake) -> IngestReport:
        refused = Counter(reasons.drop_nulls().to_list())
        return IngestReport(
            source=self.source,
            rows=len(reasons),
            accepted=accepted,
            duplicate=len(reasons) - accepted - refused.total(),
            refused=dict(sorted(refused.items())),
            event_id_key=EVENT_ID_KEY if self.derived else None,
            events_version=lake.version("events"),
        )

    def _sort_out(self, lake: Lake) -> tuple[pl.DataFrame, pl.Series]:
        """Events to write, and the index of those whose id came before with other content.

        Of an id that comes twice in the batch the first counts.
        """
        stored, events = self._stored(lake), self._not_erased(lake)
        fresh = events.filter(events["event_id"].is_first_distinct()).join(stored, on="event_id", how="anti")
        again = events.join(fresh, on=INDEX, how="anti")
        before = pl.concat([stored, fresh.select(stored.columns)])
        differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in CONTENT)
        conflicts = [
            part.join(before, on="event_id", suffix="_before").filter(differs)[INDEX]
            for part in again.iter_slices(_COMPARE_ROWS)
        ]
        return fresh.drop(INDEX).sort("event_month", "product_id", "occurred_at", "event_id"), pl.concat(
            [pl.Series(INDEX, dtype=pl.get_index_type()), *conflicts]
        )

    def _not_erased(self, lake: Lake) -> pl.DataFrame:
        """Without what an erasure made anonymous: such an event is neither taken nor kept as refused again."""
        if not lake.exists("erased_ids"):
            return self.events
        erased = lake.read("erased_ids").collect()["digest"]
        return self.events.filter(~digests(self.events["event_id"]).is_in(erased.implode()))

    def _stored(self, lake: Lake) -> pl.DataFrame:
        """Id and content of the lake's events that have an id of this batch."""
        frame = lake.read("events", ["event_id", *CONTENT])
        if self.derived and self.events.height:
            moment = pl.col("occurred_at")
            first, last = self.events.select(first=moment.min(), last=moment.max()).row(0)
            frame = frame.filter(moment.is_between(first, last))
        wanted = self.events.lazy().select("event_id")
        return frame.join(wanted, on="event_id", how="semi").collect(engine="streaming")

    def _quarantine(self, reasons: pl.Series, lake: Lake, now: datetime) -> int | None:
        """Write the refused rows that an earlier try did not write; the version that has them, None without any."""
        onto = _standing(lake, "quarantine")
        refused = reasons.is_not_null()
        raw = self.raw.filter(refused)
        rows = pl.DataFrame(
            {
                "row_id": _content_ids(raw) if self.row_ids is None else self.row_ids.filter(refused),
                "reason": reasons.filter(refused),
                "row": raw,
            }
        ).with_columns(pl.lit(self.source).alias("source"), pl.lit(now).alias("refused_at"))
        unseen = rows.join(lake.read("quarantine", ["row_id"]).collect(), on="row_id", how="anti")
        if not unseen.height:
            return None
        kinds = [pl.col(name).cast(kind) for name, kind in QUARANTINE_SCHEMA.items()]
        lake.append("quarantine", unseen.select(kinds), onto=onto)
        return onto + 1


def _standing(lake: Lake, table: str) -> int:
    version = lake.version(table)
    return NEW if version is None else version


def event_batch(
    source: str,
    rows: pl.DataFrame,
    reasons: pl.Series,
    zone: str,
    *,
    derived: bool = False,
    row_ids: pl.Series | None = None,
    txn: tuple[str, int] | None = None,
) -> EventBatch:
    """Rows of `ROW_SCHEMA` with their reasons; months are counted in `zone`, the rest as in `EventBatch`."""
    month = shop_month(pl.col("occurred_at"), zone).dt.strftime("%Y-%m")
    events = (
        rows.with_row_index(INDEX)
        .filter(reasons.is_null())
        .with_columns(pl.lit(source).alias("source"), month.alias("event_month"))
        .select(INDEX, *(pl.col(name).cast(kind) for name, kind in EVENT_SCHEMA.items()))
    )
    return EventBatch(source, reasons, rows["raw"], events, derived=derived, row_ids=row_ids, txn=txn)


def _content_ids(raw: pl.Series) -> pl.Series:
    """Digest and occurrence: equal rows of a file stay apart, and the same file again gives the same."""
    frame = digests(raw).alias("digest").to_frame()
    occurrence = pl.int_range(pl.len()).over("digest")
    return frame.select(pl.format("{}-{}", "digest", occurrence).alias("row_id"))["row_id"]
