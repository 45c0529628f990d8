"""Events of a shop summed up by product and month."""

from datetime import date
from typing import Final

import polars as pl

from ml.columns import PANEL_SCHEMA
from ml.errors import NotEnoughHistory
from ml.events import UNKNOWN_CATEGORY, EventType
from ml.returns import booked_returns

_ROW: Final = ("product_id", "month")


def panel_of(events: pl.LazyFrame, last_month: date, zone: str) -> pl.DataFrame:
    """The panel in `PANEL_SCHEMA`, sorted by product and month.

    Args:
        events: `EVENT_SCHEMA` and `month` (first day, in the shop's zone).
        last_month: First day of the last month of the panel; later purchases only serve to place returns.
        zone: The shop's zone, for its days.

    Raises:
        NotEnoughHistory: No purchase up to `last_month`.
    """
    kind = pl.col("event_type")
    purchases = events.filter(kind == EventType.purchase)
    returns = events.filter(kind == EventType.return_)
    sold = purchases.filter(pl.col("month") <= last_month)
    counted = events.group_by(_ROW).agg(
        (kind == EventType.view).sum().alias("views"), (kind == EventType.cart).sum().alias("carts")
    )
    received = returns.group_by(_ROW).agg(pl.col("quantity").sum().alias("returns_received"))
    frame = _spine(sold, last_month)
    for part in (_sales(sold, zone), _orders(sold), counted, received, booked_returns(purchases, returns)):
        frame = frame.join(part, on=_ROW, how="left")
    panel = _filled(frame).sort(_ROW).collect(engine="streaming")
    if panel.height == 0:
        raise NotEnoughHistory(
            f"no purchase up to the last complete month {last_month:%Y-%m}; import a longer history"
        )
    return panel


def _spine(sold: pl.LazyFrame, last_month: date) -> pl.LazyFrame:
    """Every product and month from its first sale to the last month."""
    first = sold.group_by("product_id").agg(pl.col("month").min())
    return first.with_columns(pl.date_ranges("month", pl.lit(last_month), "1mo")).explode("month")


def _sales(sold: pl.LazyFrame, zone: str) -> pl.LazyFrame:
    units, campaign = pl.col("quantity"), pl.col("campaign").is_not_null()
    latest_known = (
        pl.col("category")
        .sort_by("occurred_at", "event_id")
        .filter(pl.col("category").sort_by("occurred_at", "event_id") != UNKNOWN_CATEGORY)
        .last()
    )
    return (
        sold.group_by(_ROW)
        .agg(
            units.sum().alias("units"),
            (units * pl.col("unit_price_cents")).sum().alias("revenue_cents"),
            pl.col("customer_id").drop_nulls().n_unique().alias("buyers"),
            pl.col("occurred_at").dt.convert_time_zone(zone).dt.date().n_unique().alias("active_days"),
            (units * campaign).sum().alias("campaign_units"),
            latest_known.alias("category"),
        )
        .with_columns(
            (pl.col("revenue_cents") / pl.col("units")).alias("mean_price_cents"),
            (pl.col("campaign_units") / pl.col("units")).alias("campaign_share"),
        )
    )


def _orders(sold: pl.LazyFrame) -> pl.LazyFrame:
    """Orders and the largest one; a purchase without an order id is an order of its own."""
    alone = pl.when(pl.col("order_id").is_null()).then(pl.col("event_id")).alias("alone")
    return (
        sold.group_by(*_ROW, "order_id", alone)
        .agg(pl.col("quantity").sum())
        .group_by(_ROW)
        .agg(pl.len().alias("orders"), pl.col("quantity").max().alias("largest_order"))
    )


def _filled(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Zero where nothing happened, a category in every row, the columns of `PANEL_SCHEMA`."""
    category = (
        pl.col("category").forward_fill().over("product_id", order_by="month").fill_null(UNKNOWN_CATEGORY)
    )
    return frame.with_columns(category).select(
        pl.col(name)
        if name in (*_ROW, "category", "mean_price_cents")
        else pl.col(name).fill_null(0).cast(kind)
        for name, kind in PANEL_SCHEMA.items()
    )
