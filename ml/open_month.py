"""The days of the open month and of the closed months before it, as `ml.nowcast` reads them."""

from datetime import date
from typing import Any, Final

import numpy as np
import polars as pl

from ml.events import UNKNOWN_CATEGORY, EventType
from ml.history import History
from ml.lake import Lake
from ml.nowcast import DailyUnits, nowcast
from ml.outliers import learned_from
from ml.settings import MlSettings

MONTHS: Final = 24
"""Closed months that a nowcast learns from, at most."""


def open_month(lake: Lake, history: History, settings: MlSettings) -> dict[str, Any]:
    """The nowcast of the month after the history, from the lake's events less those that the panel set aside."""
    events = learned_from(lake.read("events"), lake.read("set_aside").collect())
    return nowcast(daily_units(events, history.months[-1].item(), settings.shop_zone))


def daily_units(events: pl.LazyFrame, last_closed: date, zone: str) -> DailyUnits:
    """Units sold by product and day of the shop, up to the day before that of the newest event.

    The day of the newest event is still running. Days after the open month are not part of it.

    Args:
        events: `EVENT_SCHEMA`, at least one purchase up to `last_closed`.
        last_closed: First day of the last closed month.
        zone: The shop's zone.
    """
    day = pl.col("occurred_at").dt.convert_time_zone(zone).dt.date().alias("day")
    dated = events.with_columns(day)
    running = dated.select(pl.col("day").max()).collect().item()
    month = np.datetime64(last_closed, "M") + 1
    end = min(np.datetime64(running, "D"), (month + 1).astype("datetime64[D]"))
    sold = (
        dated.filter(pl.col("event_type") == EventType.purchase)
        .filter(
            pl.col("day").is_between(
                (month - MONTHS).astype("datetime64[D]").item(), end.item(), closed="left"
            )
        )
        .select("product_id", "category", "day", "quantity", "occurred_at", "event_id")
    )
    units = sold.group_by("product_id", "day").agg(pl.col("quantity").sum()).collect(engine="streaming")
    first = units.select(pl.col("day").min()).item() or running
    days = np.arange(
        np.datetime64(first, "M").astype("datetime64[D]"), max(end, month.astype("datetime64[D]"))
    )
    products = _categories(sold)
    row = units.join(products.with_row_index("row"), on="product_id", how="left")["row"].to_numpy()
    dense = np.zeros((products.height, len(days)))
    dense[row, (units["day"].to_numpy().astype("datetime64[D]") - days[:1]).astype(np.intp)] = units[
        "quantity"
    ]
    return DailyUnits(tuple(products["product_id"]), tuple(products["category"]), days, dense, month)


def _categories(sold: pl.LazyFrame) -> pl.DataFrame:
    """Every product, sorted, with its latest known category."""
    latest = pl.col("category").sort_by("occurred_at", "event_id")
    known = latest.filter(latest != UNKNOWN_CATEGORY).last().fill_null(UNKNOWN_CATEGORY)
    return sold.group_by("product_id").agg(known).sort("product_id").collect(engine="streaming")
