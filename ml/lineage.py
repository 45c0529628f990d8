"""Lineage: from a row of the panel back to its events, from a model back to the data it learned from."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, Protocol

import polars as pl

from ml import delta
from ml.data_version import data_version_of
from ml.errors import NotEnoughHistory, UnknownDataVersion, VersionGone
from ml.event_store import StoredEvent
from ml.events import EventType, canonical_product_id
from ml.lake import Lake
from ml.months import shop_month
from ml.panel import load_history
from ml.returns import booked_returns
from ml.version_table import Note, named

INBOX: Final = "inbox"
_BATCH: Final = 50_000
_SHOWN: Final = (
    "event_id",
    "event_type",
    "occurred_at",
    "quantity",
    "unit_price_cents",
    "order_id",
    "source",
)


class Arrivals(Protocol):
    """The part of an inbox that lineage reads."""

    def after(self, seq: int, limit: int) -> list[StoredEvent]:
        """Up to `limit` events accepted after `seq`, oldest first."""


def row_lineage(
    lake: Lake,
    inbox: Arrivals | None,
    zone: str,
    product: str,
    month: str,
    *,
    data_version: str | None = None,
    limit: int = 1000,
) -> dict[str, Any]:
    """The events behind one row of the panel, and whether they add up to it.

    Args:
        lake: The lake.
        inbox: Asked when its events were accepted; None where it is out of reach.
        zone: The shop's zone.
        product: As the shop spells it.
        month: YYYY-MM.
        data_version: The panel of this one instead of the newest.
        limit: Events to list; all are counted.

    Returns:
        `row` of the panel; `events` with `learned` (null, or why an event was set aside), `source` (`inbox` or the
        file's name), `accepted_at`, and for the inbox `seq` and `sender`; `returns_booked` here that came in a later
        month; `events_in_all`; `agrees`: whether events and row say the same.

    Raises:
        NotEnoughHistory: The panel has no such row.
        UnknownDataVersion: The lake has no such data version.
        VersionGone: What it was made of cannot be read any more.
    """
    note = named(lake, data_version) if data_version else None
    then = lake.at(note.tables) if note else lake
    product, first = canonical_product_id(product), date.fromisoformat(f"{month}-01")
    row = then.read("panel").filter(pl.col("product_id") == product, pl.col("month") == first).collect()
    if not row.height:
        raise NotEnoughHistory(f"the panel has no row of product {product!r} and month {month}")
    dated = then.read("events").with_columns(shop_month(pl.col("occurred_at"), zone).alias("month"))
    aside = then.read("set_aside").rename({"reason": "set_aside"})
    events = (
        dated.filter(pl.col("product_id") == product)
        .join(aside, on="event_id", how="left")
        .sort("occurred_at", "event_id")
        .collect(engine="streaming")
    )
    own = events.filter(pl.col("month") == first)
    booked = _booked(events.filter(pl.col("set_aside").is_null()), first)
    listed = pl.concat([own, booked.filter(pl.col("month") != first)]).head(limit)
    arrived = _arrivals(lake, inbox, listed)
    shown = [_shown(event) | arrived.get(event["event_id"], {}) for event in listed.to_dicts()]
    return {
        "product_id": product,
        "month": month,
        "data_version": note.name if note else None,
        "row": row.row(0, named=True) | {"month": month},
        "events": [event for event in shown if event["month"] == month],
        "returns_booked": [event for event in shown if event["month"] != month],
        "events_in_all": own.height + booked.filter(pl.col("month") != first).height,
        "agrees": _sums(own, booked) == {name: row[name][0] for name in _sums(own, booked)},
    }


def model_lineage(lake: Lake, data_version: str, data_digest: str | None) -> dict[str, Any]:
    """What a model's data version was made of, and whether it can be made again.

    Args:
        lake: The lake.
        data_version: The model's.
        data_digest: Of the manifest of the model; None where it is out of reach.

    Returns:
        `data_version`, `tables` (Delta version by table), `lost` (reason by table), `trainable`: the numbers that the
        model learned from were read again and have its digest; `reproducible`: their panel can be built from its
        events too; `erasures`: since then.
    """
    try:
        note = named(lake, data_version)
    except UnknownDataVersion as error:
        return {"data_version": data_version, "trainable": False, "reproducible": False, "reason": str(error)}
    digest, reason = _rebuilt(lake, note)
    trainable = digest == (data_digest or note.digest)
    erasures = lake.read("erasures").filter(pl.col("state") == "done", pl.col("at") > note.created_at)
    return {
        "data_version": note.name,
        "digest": note.digest,
        "noted_at": note.created_at.isoformat(),
        "tables": dict(note.tables),
        "lost": dict(note.lost),
        "trainable": trainable,
        "reproducible": trainable and note.whole,
        "reason": reason,
        "erasures": [row["erasure"] for row in erasures.sort("at").collect().to_dicts()],
    }


def _rebuilt(lake: Lake, note: Note) -> tuple[str | None, str | None]:
    """The digest of the history read again at the note's versions, or why it cannot be."""
    try:
        return data_version_of(load_history(lake.at(note.tables), note.last_month)).digest, None
    except (VersionGone, NotEnoughHistory) as error:
        return None, str(error)


def _booked(events: pl.DataFrame, month: date) -> pl.DataFrame:
    """Returns that the panel books in a month: each judged against all purchases, under its own id as product."""
    returns = events.filter(pl.col("event_type") == EventType.return_)
    bought = events.filter(pl.col("event_type") == EventType.purchase)
    apart = returns.with_columns(product_id=pl.col("event_id"))
    each = bought.drop("product_id").join(apart.select("product_id"), how="cross")
    booked = booked_returns(each.lazy(), apart.lazy()).filter(pl.col("month") == month).collect()
    return returns.filter(pl.col("event_id").is_in(booked["product_id"].implode()))


def _sums(own: pl.DataFrame, booked: pl.DataFrame) -> dict[str, int]:
    """Columns of the panel that events add up to."""
    learned = own.filter(pl.col("set_aside").is_null())
    kind = {name: learned.filter(pl.col("event_type") == name) for name in EventType}
    bought = kind[EventType.purchase]
    return {
        "units": int(bought["quantity"].sum()),
        "revenue_cents": int((bought["quantity"] * bought["unit_price_cents"]).sum()),
        "returns_received": int(kind[EventType.return_]["quantity"].sum()),
        "returned_units": int(booked["quantity"].sum()),
        "views": kind[EventType.view].height,
        "carts": kind[EventType.cart].height,
    }


def _shown(event: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: event[name] for name in _SHOWN} | {"learned": event["set_aside"] is None}
    if event["set_aside"] is not None:
        fields["set_aside"] = event["set_aside"]
    return fields | {
        "occurred_at": event["occurred_at"].isoformat(),
        "month": f"{event['month']:%Y-%m}",
        "accepted_at": None,
    }


def _arrivals(lake: Lake, inbox: Arrivals | None, events: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """When and how events came, by id, as far as that can be known."""
    found: dict[str, dict[str, Any]] = {}
    for (source,), part in events.group_by("source"):
        ids = set(part["event_id"])
        if source != INBOX:
            found |= _imported(lake, str(source), ids)
        elif inbox is not None:
            found |= _accepted(inbox, ids)
    return found


def _accepted(inbox: Arrivals, wanted: set[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    seq = 0
    while len(found) < len(wanted) and (stored := inbox.after(seq, _BATCH)):
        for item in stored:
            if item.event.event_id in wanted:
                arrival = {
                    "accepted_at": item.accepted_at.isoformat(),
                    "seq": item.seq,
                    "sender": item.source,
                }
                found[item.event.event_id] = arrival
        seq = stored[-1].seq
    return found


def _imported(lake: Lake, source: str, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """By the commits that brought rows of a file; of several the first that has the event."""
    with lake.delta("events") as opened:
        commits = [commit for commit in delta.notes_of(opened) if commit.get("source") == source]
    found: dict[str, dict[str, Any]] = {}
    for commit in commits:
        left = wanted - found.keys()
        there = left if commit is commits[-1] else _there(lake, int(commit["version"]), left)
        found |= {event_id: {"accepted_at": commit["ingested_at"]} for event_id in there}
    return found


def _there(lake: Lake, version: int, wanted: Iterable[str]) -> set[str]:
    """Which of the events a version has; none when it cannot be read any more."""
    try:
        ids = lake.read("events", ["event_id"], version=version)
        return set(ids.filter(pl.col("event_id").is_in(list(wanted))).collect()["event_id"])
    except VersionGone:
        return set()
