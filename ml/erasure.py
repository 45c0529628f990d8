"""Erasure of one customer: what is left of the events cannot be traced to anyone, in no file and no version.

The units stay: they were sold, and the forecast of a product is not about the customer. What could lead back goes:
customer, session and segment become null, order and event get random names, and the time is cut to the shop's day.
That is anonymisation (GDPR recital 26; Turkish by-law on erasure, destruction and anonymisation of 28.10.2017,
article 10); what was pseudonymous before is not kept beside it.

The customer's events are those with the pseudonym, and those without any customer in one of the same orders or
sessions. Files that hold one of them are removed, so older versions of the lake that had such a file cannot be read
any more; the data versions made of them are marked first. Folders of the lake that are no table go whole. Killed
anywhere and run again it ends the same.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from ml import delta
from ml.columns import ERASED_IDS_SCHEMA, ERASURE_SCHEMA
from ml.errors import StoreUnavailable
from ml.event_rows import digests
from ml.inbox_erasure import InboxErasure
from ml.lake import Lake
from ml.pseudonym import PERSONAL
from ml.version_table import EVENT_TABLES, mark_lost, with_files

_FILE: Final = "file"
_KEYS: Final = {"events": ("event_id", "event_month"), "quarantine": ("row_id",)}
_BLANK: Final = '{"erased":true}'


@dataclass(frozen=True)
class Erasure:
    """What was found of a customer, in all attempts at one erasure, and what erasing it costs.

    Attributes:
        erasure: Its own random name, also in the lake's table `erasures`.
        customer: Sha256 of the pseudonym.
        events: Of the lake, made anonymous.
        inbox_events: The same of the inbox.
        refused_rows: Of the quarantine, emptied.
        data_versions: Names of those that cannot be built from their events any more.
    """

    erasure: str
    customer: str
    events: int
    inbox_events: int
    refused_rows: int
    data_versions: list[str]

    @classmethod
    def of(
        cls, customers: Sequence[str], rows: dict[str, pl.DataFrame], inbox: InboxErasure, lost: list[str]
    ) -> "Erasure":
        """What a new erasure finds: rows by table, and names of the data versions that are made of them."""
        counts = {table: found[_KEYS[table][0]].n_unique() for table, found in rows.items()}
        return cls(
            erasure=uuid.uuid4().hex,
            customer=_sha256(customers[0]),
            events=counts.get("events", 0),
            inbox_events=inbox.count(customers),
            refused_rows=counts.get("quarantine", 0),
            data_versions=sorted(set(lost)),
        )

    def after(self, before: "Erasure") -> "Erasure":
        """Of both attempts at one erasure."""
        return replace(
            before,
            events=max(self.events, before.events),
            inbox_events=max(self.inbox_events, before.inbox_events),
            refused_rows=max(self.refused_rows, before.refused_rows),
            data_versions=sorted({*self.data_versions, *before.data_versions}),
        )


@dataclass(frozen=True)
class Erased(Erasure):
    """An erasure that went to its end; `left_in` are places that still hold the customer, none when it succeeded."""

    left_in: list[str]

    def to_json(self) -> dict[str, object]:
        """The same as plain values for `json.dumps`."""
        return asdict(self)


def erase(lake: Lake, inbox: InboxErasure, customers: Sequence[str], zone: str, now: datetime) -> Erased:
    """Make a customer's events anonymous in the lake and the inbox, and remove every file that had them.

    Args:
        lake: The lake; nothing else is written to it meanwhile.
        inbox: The inbox, which may be in use.
        customers: The pseudonym; then the id itself, if events are there from before ids were hidden.
        zone: The shop's zone, for its days.
        now: Aware instant.

    Raises:
        StoreUnavailable: A store cannot be written; run the same again.
    """
    with lake.lock():
        rows = {table: _rows_of(lake, table, customers) for table in _KEYS if lake.exists(table)}
        files = [path for found in rows.values() for path in found[_FILE].unique()]
        lost = with_files(lake, set(map(Path, files)))
        names = [note.name for note, table in lost if table in EVENT_TABLES and table not in note.lost]
        plan = _begun(lake, Erasure.of(customers, rows, inbox, names), now)
        mark_lost(lake, lost, "erasure", now)
        if "events" in rows:
            _remember(lake, rows["events"])
            _replace(lake, "events", _anonymous(rows["events"], zone), plan.erasure)
        if "quarantine" in rows:
            _replace(lake, "quarantine", _blanked(rows["quarantine"]), plan.erasure)
        for table, found in rows.items():
            _remove_files(lake, table, found, customers)
        _remove_copies(lake)
        inbox.erase(customers, zone)
        left = _left_in(lake, inbox, customers)
        if not left:
            _record(lake, plan, "done", now)
    return Erased(**asdict(plan), left_in=left)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _begun(lake: Lake, plan: Erasure, now: datetime) -> Erasure:
    """The plan on record: with that of an attempt that was not finished, else as a new erasure."""
    past = lake.read("erasures").filter(pl.col("customer") == plan.customer).sort("at").collect()
    done = set(past.filter(pl.col("state") == "done")["erasure"])
    unfinished = past.filter(~pl.col("erasure").is_in(list(done)))
    if unfinished.height:
        fields = {
            name: value
            for name, value in unfinished.row(-1, named=True).items()
            if name not in ("state", "at")
        }
        before = Erasure(**fields | {"data_versions": json.loads(fields["data_versions"])})
        if (both := plan.after(before)) == before:
            return before
        plan = both
    _record(lake, plan, "begun", now)
    return plan


def _record(lake: Lake, plan: Erasure, state: str, now: datetime) -> None:
    row: dict[str, Any] = asdict(plan) | {
        "data_versions": json.dumps(plan.data_versions),
        "state": state,
        "at": now,
    }
    lake.append("erasures", pl.DataFrame([row], schema=ERASURE_SCHEMA))


def _rows_of(lake: Lake, table: str, customers: Sequence[str]) -> pl.DataFrame:
    """The customer's rows in every file on disk, each with its file; a row can be in several."""
    with lake.delta(table) as opened:
        rows = delta.rows_on_disk(opened, _FILE)
        if table == "quarantine":
            return rows.filter(pl.col("row").str.contains(customers[0], literal=True)).collect()
        own = pl.col("customer_id").is_in(customers)
        links = rows.filter(own).select("order_id", "session_id").unique().collect()
        linked = [pl.col(name).is_in(links[name].drop_nulls().implode()) for name in links.columns]
        return rows.filter(own | (pl.col("customer_id").is_null() & pl.any_horizontal(linked))).collect()


def _anonymous(events: pl.DataFrame, zone: str) -> pl.DataFrame:
    """New values of events, by the id they have now."""
    orders = events.select("order_id").drop_nulls().unique().with_columns(_names("order_id", "new_order_id"))
    day = pl.col("occurred_at").dt.convert_time_zone(zone).dt.truncate("1d").dt.convert_time_zone("UTC")
    nothing = [pl.lit(None, pl.String).alias(f"new_{name}") for name in (*PERSONAL, "segment")]
    return (
        events.unique("event_id", keep="any")
        .with_columns(_names("event_id", "new_event_id"))
        .join(orders, on="order_id", how="left")
        .select(
            "event_id", "event_month", "new_event_id", "new_order_id", day.alias("new_occurred_at"), *nothing
        )
    )


def _names(column: str, name: str) -> pl.Expr:
    """A random name for each value of a column without repeats."""
    return (
        pl.col(column)
        .map_elements(lambda _: f"erased-{uuid.uuid4().hex}", return_dtype=pl.String)
        .alias(name)
    )


def _blanked(refused: pl.DataFrame) -> pl.DataFrame:
    """Refused rows without what was in them."""
    return refused.unique("row_id", keep="any").select("row_id", pl.lit(_BLANK).alias("new_row"))


def _remember(lake: Lake, events: pl.DataFrame) -> None:
    """Ids that must not come again, before they are gone."""
    found = digests(events["event_id"].unique()).shuffle().to_frame("digest")
    new = found.join(lake.read("erased_ids").collect(), on="digest", how="anti")
    if new.height:
        lake.append("erased_ids", new.cast(pl.Schema(ERASED_IDS_SCHEMA)))


def _replace(lake: Lake, table: str, rows: pl.DataFrame, erasure: str) -> None:
    """In the newest version; rows that only older files have are not there."""
    if rows.height:
        with lake.delta(table) as opened:
            delta.replace_rows(opened, _KEYS[table], rows, {"erasure": erasure})


def _remove_files(lake: Lake, table: str, rows: pl.DataFrame, customers: Sequence[str]) -> None:
    """Those with the customer's own rows last: from these a later attempt finds the others.

    Also what a killed writer was just writing, whatever is in it.
    """
    current = set(lake.files(table))
    naming = rows.filter(pl.col("customer_id").is_in(customers)) if "customer_id" in rows.columns else rows
    last = set(naming[_FILE])
    for file in sorted(map(Path, rows[_FILE].unique()), key=lambda file: (str(file) in last, file)):
        if file in current:
            raise StoreUnavailable(f"{file} still holds the customer's rows; run the same command again")
        file.unlink(missing_ok=True)
    delta.remove_unfinished(lake.root / table, 0)
    with lake.delta(table) as opened:
        delta.forget_in_log(opened, customers[0].encode())


def _remove_copies(lake: Lake) -> None:
    """What steps keep beside the tables to be faster the next time, copies of events among it; they make it anew."""
    for folder in lake.root.iterdir():
        if folder.is_dir() and not lake.exists(folder.name):
            shutil.rmtree(folder)


def _left_in(lake: Lake, inbox: InboxErasure, customers: Sequence[str]) -> list[str]:
    """Where both stores still have the customer: rows of any file, entries of Delta's logs, the inbox."""
    word = customers[0].encode()
    logs = [str(file) for file in lake.root.glob("*/_delta_log/*.json") if word in file.read_bytes()]
    rows = [_rows_of(lake, table, customers)[_FILE] for table in _KEYS if lake.exists(table)]
    return sorted({*logs, *inbox.left_in(customers), *(file for files in rows for file in files)})
