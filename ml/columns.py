"""The tables of the lake, column by column: the one place where their names and types are written."""

from typing import Final

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from ml.events import Event, EventType

Schema = dict[str, DataType | DataTypeClass]

MOMENT: Final = pl.Datetime("us", "UTC")

CONTENT: Final[tuple[str, ...]] = tuple(name for name in Event.model_fields if name != "event_id")
"""What two events with the same id must agree on to be duplicates."""

EVENT_TYPES: Final[tuple[str, ...]] = tuple(EventType)

EVENT_SCHEMA: Final[Schema] = {
    "event_id": pl.String(),
    "event_type": pl.String(),
    "occurred_at": MOMENT,
    "product_id": pl.String(),
    "category": pl.String(),
    "unit_price_cents": pl.Int64(),
    "currency": pl.String(),
    "quantity": pl.Int64(),
    "order_id": pl.String(),
    "customer_id": pl.String(),
    "session_id": pl.String(),
    "campaign": pl.String(),
    "segment": pl.String(),
    "source": pl.String(),
    "event_month": pl.String(),
}
"""One row per accepted event; `event_month` (YYYY-MM in the shop's zone) is the partition."""

QUARANTINE_SCHEMA: Final[Schema] = {
    "row_id": pl.String(),
    "reason": pl.String(),
    "source": pl.String(),
    "row": pl.String(),
    "refused_at": MOMENT,
}
"""One row per refused row; `row` is the source row as JSON, `row_id` is the same on every retry."""

PANEL_SCHEMA: Final[Schema] = {
    "product_id": pl.String(),
    "category": pl.String(),
    "month": pl.Date(),
    "units": pl.Int64(),
    "returned_units": pl.Int64(),
    "returns_received": pl.Int64(),
    "revenue_cents": pl.Int64(),
    "mean_price_cents": pl.Float64(),
    "orders": pl.Int64(),
    "buyers": pl.Int64(),
    "views": pl.Int64(),
    "carts": pl.Int64(),
    "largest_order": pl.Int64(),
    "active_days": pl.Int64(),
    "campaign_share": pl.Float64(),
}
"""One row per product and month from first sale to the last complete month, none missing, sorted by both.

`units` are gross. `returned_units` are booked in the month of the purchase and can grow after that month
closed; `returns_received` are booked in the month of the return and cannot. `mean_price_cents` is null in a
month without a sale. `largest_order` is in units, `campaign_share` is the share of units sold in a campaign.
"""

DATA_VERSION_SCHEMA: Final[Schema] = {
    "name": pl.String(),
    "digest": pl.String(),
    "last_month": pl.String(),
    "tables": pl.String(),
    "created_at": MOMENT,
}
"""One row per data version and the Delta versions (`tables`, JSON) it was first built from."""

PLAN_SCHEMA: Final[Schema] = {
    "product_id": pl.String(),
    "month": pl.Date(),
    "price_cents": pl.Int64(),
    "promotion": pl.Float64(),
    "advertising_cents": pl.Int64(),
    "source": pl.String(),
    "imported_at": MOMENT,
}
"""One row per product and month that something was planned for, sorted by both; null where nothing was.

`price_cents` > 0, `promotion` a share from 0 to 1, `advertising_cents` >= 0 for the whole month.
"""

STOCK_SCHEMA: Final[Schema] = {"product_id": pl.String(), "month": pl.Date(), "days_out": pl.Float64()}
"""One row per product and month (its first day) of which a shop says on how many days there was no stock."""

SET_ASIDE_SCHEMA: Final[Schema] = {"event_id": pl.String(), "reason": pl.String()}
"""One row per accepted event that the newest panel did not learn from (`ml.outliers`)."""

UNREPRODUCIBLE_SCHEMA: Final[Schema] = {
    "name": pl.String(),
    "tables": pl.String(),
    "lost": pl.String(),
    "reason": pl.String(),
    "at": MOMENT,
}
"""One row per data version (`name` and `tables` as in `data_versions`) and table whose Delta version cannot be read
any more (`lost`), because of an `erasure` or of `retention`."""

ERASURE_SCHEMA: Final[Schema] = {
    "erasure": pl.String(),
    "customer": pl.String(),
    "state": pl.String(),
    "events": pl.Int64(),
    "inbox_events": pl.Int64(),
    "refused_rows": pl.Int64(),
    "data_versions": pl.String(),
    "at": MOMENT,
}
"""One row when an erasure begins and one when it is done (`state`), the same `erasure` in both.

`customer` is the sha256 of the pseudonym, so that a person who asks again is known without being named; the counts
are of what was found, `data_versions` (JSON) are the names of those that lost their events.
"""

ERASED_IDS_SCHEMA: Final[Schema] = {"digest": pl.String()}
"""One row per event that an erasure made anonymous: of the id that it came with 32 digits of the sha256, so that a
re-send is known. No row says which event that is now."""
QUALITY_SCHEMA: Final[Schema] = {
    "data_version": pl.String(),
    "verdict": pl.String(),
    "as_of": MOMENT,
    "created_at": MOMENT,
    "checks": pl.String(),
}
"""One row per run of the quality gate; `checks` is JSON, `data_version` is null where there was no panel."""

DRIFT_SCHEMA: Final[Schema] = {
    "period": pl.String(),
    "model_version": pl.Int64(),
    "model_sha256": pl.String(),
    "data_version": pl.String(),
    "answer": pl.String(),
    "p_value": pl.Float64(),
    "episode": pl.String(),
    "retrain": pl.Boolean(),
    "report": pl.String(),
    "created_at": MOMENT,
}
"""One row per period, model and data version that was judged; `report` is JSON, `episode` the period in which the
episode of drift began that this one belongs to, null outside one."""

SCHEMAS: Final[dict[str, Schema]] = {
    "events": EVENT_SCHEMA,
    "quarantine": QUARANTINE_SCHEMA,
    "panel": PANEL_SCHEMA,
    "data_versions": DATA_VERSION_SCHEMA,
    "plan": PLAN_SCHEMA,
    "stock": STOCK_SCHEMA,
    "set_aside": SET_ASIDE_SCHEMA,
    "unreproducible": UNREPRODUCIBLE_SCHEMA,
    "erasures": ERASURE_SCHEMA,
    "erased_ids": ERASED_IDS_SCHEMA,
    "quality_reports": QUALITY_SCHEMA,
    "drift": DRIFT_SCHEMA,
}
PARTITIONS: Final[dict[str, str]] = {"events": "event_month"}

LOGGED: Final[dict[str, tuple[str, ...]]] = {
    "events": ("event_type", "occurred_at", "product_id", "unit_price_cents", "quantity"),
    "quarantine": ("reason", "refused_at"),
}
"""Columns whose smallest and largest values Delta may write into its log: none that tells of a person."""
