"""Events of a shop summed up by product and month."""

from collections.abc import Iterable
from datetime import date
from typing import Final

import polars as pl

from ml.columns import EVENT_SCHEMA, PANEL_SCHEMA, Schema
from ml.errors import NotEnoughHistory
from ml.events import UNKNOWN_CATEGORY, EventType
from ml.panel_pieces import gathered
from ml.returns import booked_returns

_ROW: Final = ("product_id", "month")
_LOOK: Final = ("event_id", "event_type", "occurred_at", "product_id", "month", "quantity")
"""Columns that a view or a cart is counted by."""

_DEAL: Final = pl.col("event_type").is_in([EventType.purchase.value, EventType.return_.value])

NEEDED: Final = (
    "event_id",
    "event_type",
    "occurred_at",
    "product_id",
    "category",
    "unit_price_cents",
    "quantity",
    "order_id",
    "customer_id",
    "campaign",
)
"""Columns of an event that a panel is made of."""

ROWS_TOLD_APART: Final = 20_000
"""About so many rows are divided into deals and looks at a time: one query for each hundred rows is dearer."""

CONDENSED_SCHEMA: Final[Schema] = {**{name: EVENT_SCHEMA[name] for name in NEEDED}, "month": pl.Date()}


def condensed(events: pl.LazyFrame) -> pl.LazyFrame:
    """What a panel needs of events, in `CONDENSED_SCHEMA`: purchases and returns one by one, the rest counted.

    All views of a product in a month are one row, as are its carts: `quantity` is how many events they were,
    `occurred_at` that of the newest, and their other columns are null.

    Args:
        events: `EVENT_SCHEMA` and `month` (first day, in the shop's zone).
    """
    looks = (
        events.filter(~_DEAL)
        .group_by("event_type", *_ROW)
        .agg(pl.len().cast(pl.Int64).alias("quantity"), pl.col("occurred_at").max())
    )
    deals = events.filter(_DEAL).select(list(CONDENSED_SCHEMA))
    return pl.concat([deals, looks], how="diagonal").select(list(CONDENSED_SCHEMA))


def uncounted(events: pl.LazyFrame) -> pl.LazyFrame:
    """The events one by one, otherwise as `condensed`."""
    look = {name: pl.lit(1, pl.Int64) if name == "quantity" else None for name in CONDENSED_SCHEMA}
    return events.select(
        name if name in _LOOK[:-1] else pl.when(_DEAL).then(name).otherwise(look[name]).alias(name)
        for name in CONDENSED_SCHEMA
    )


def recondensed(portions: Iterable[pl.DataFrame], *, repeats: bool = False) -> pl.LazyFrame:
    """`condensed` of all events, from what is `condensed` or, where an id may come again, `uncounted` of portions."""
    deals, looks = [pl.DataFrame(schema=CONDENSED_SCHEMA)], []
    for rows in map(pl.DataFrame.rechunk, gathered(portions, ROWS_TOLD_APART)):
        deals.append(rows.filter(_DEAL))
        looks.append(rows.filter(~_DEAL).select(_LOOK))
    kinds = [pl.concat(each) for each in (deals, [deals[0].select(_LOOK), *looks])]
    del deals, looks
    if repeats:
        kinds = [each.unique("event_id") for each in kinds]
    counted = (
        kinds[1]
        .lazy()
        .group_by("event_type", *_ROW)
        .agg(pl.col("quantity").sum(), pl.col("occurred_at").max())
    )
    return pl.concat([kinds[0].lazy(), counted], how="diagonal").select(list(CONDENSED_SCHEMA))


def panel_of(events: pl.LazyFrame, last_month: date, zone: str) -> pl.DataFrame:
    """The panel in `PANEL_SCHEMA`, sorted by product and month.

    Args:
        events: `EVENT_SCHEMA` and `month` (first day, in the shop's zone).
        last_month: First day of the last month of the panel; later purchases only serve to place returns.
        zone: The shop's zone, for its days.

    Raises:
        NotEnoughHistory: No purchase up to `last_month`.
    """
    panel = panel_of_condensed(condensed(events), last_month, zone)
    if panel.height == 0:
        raise no_purchase(last_month)
    return panel


def no_purchase(last_month: date) -> NotEnoughHistory:
    """What is said of a panel without a row."""
    return NotEnoughHistory(
        f"no purchase up to the last complete month {last_month:%Y-%m}; import a longer history"
    )


def panel_of_condensed(rows: pl.LazyFrame, last_month: date, zone: str) -> pl.DataFrame:
    """`panel_of` for rows in `CONDENSED_SCHEMA`; without a row where nothing was bought."""
    kind, units = pl.col("event_type"), pl.col("quantity")
    purchases = rows.filter(kind == EventType.purchase)
    returns = rows.filter(kind == EventType.return_)
    sold = purchases.filter(pl.col("month") <= last_month)
    counted = (
        rows.filter(kind != EventType.purchase)
        .group_by(_ROW)
        .agg(
            (units * (kind == EventType.view)).sum().alias("views"),
            (units * (kind == EventType.cart)).sum().alias("carts"),
            (units * (kind == EventType.return_)).sum().alias("returns_received"),
        )
    )
    frame = _spine(sold, last_month)
    for part in (_sales(sold, zone), _orders(sold), counted, booked_returns(purchases, returns)):
        summed = part.collect()  # one after the other: all at once need more memory
        frame = frame.join(summed.lazy(), on=_ROW, how="left")
    return _filled(frame).sort(_ROW).collect()


def products_without_row(rows: pl.LazyFrame, aside: pl.DataFrame, last_month: date) -> dict[str, int]:
    """Products that no panel up to `last_month` has: `never_bought`, `only_set_aside`, `first_bought_later`.

    Args:
        rows: `CONDENSED_SCHEMA`.
        aside: `SET_ASIDE_SCHEMA`.
        last_month: First day of the panel's last month.
    """
    bought = pl.col("event_type") == EventType.purchase
    learned = bought & pl.col("reason").is_null()
    products = (
        rows.join(aside.lazy(), on="event_id", how="left")
        .group_by("product_id")
        .agg(bought.any().alias("bought"), pl.col("month").filter(learned).min().alias("first"))
    )
    reason = (
        pl.when(~pl.col("bought"))
        .then(pl.lit("never_bought"))
        .when(pl.col("first").is_null())
        .then(pl.lit("only_set_aside"))
        .when(pl.col("first") > last_month)
        .then(pl.lit("first_bought_later"))
    )
    found = products.select(reason.alias("reason")).drop_nulls().group_by("reason").len().sort("reason")
    return dict(found.collect().iter_rows())


def _spine(sold: pl.LazyFrame, last_month: date) -> pl.LazyFrame:
    """Every product and month from its first sale to the last month."""
    first = sold.group_by("product_id").agg(pl.col("month").min())
    return first.with_columns(pl.date_ranges("month", pl.lit(last_month), "1mo")).explode("month")


def _sales(sold: pl.LazyFrame, zone: str) -> pl.LazyFrame:
    units, campaign = pl.col("quantity"), pl.col("campaign").is_not_null()
    known = pl.col("category") != UNKNOWN_CATEGORY
    latest_known = pl.col("category").filter(known).max_by(pl.struct("occurred_at", "event_id").filter(known))
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
