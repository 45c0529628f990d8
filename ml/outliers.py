"""Purchases that are no demand: entry errors and orders that were taken back at once. They stay in the lake.

An event is judged by its own month and those before it, so no later event changes what was learned.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from ml.events import EventType

CANCELLED: Final = "cancelled_within_24_hours"
GIANT: Final = "giant_order"
CANCELLED_WITHIN: Final = timedelta(hours=24)
GIANT_FACTOR: Final = 20
GIANT_SHARE: Final = 0.999
OTHERS_NEEDED: Final = 30
"""With fewer other purchases of the product nobody knows what is large for it."""


def set_aside(events: pl.LazyFrame, trusted: Sequence[str] = ()) -> pl.DataFrame:
    """Events that are not learned from, in `SET_ASIDE_SCHEMA`, sorted; of two reasons the first counts.

    `cancelled_within_24_hours`: a purchase whose units the same customer, or the same order, returned in full
    within 24 hours and the same month; also that return. `giant_order`: a purchase of more than 20 times the
    99.9th percentile of at least 30 other purchases of the product up to the end of its month.

    Args:
        events: `EVENT_SCHEMA` and `month` (first day, in the shop's zone).
        trusted: Ids of events that are demand, whatever they look like.
    """
    needed = (
        "event_id",
        "event_type",
        "product_id",
        "month",
        "occurred_at",
        "quantity",
        "customer_id",
        "order_id",
    )
    kinds = (EventType.purchase.value, EventType.return_.value)
    counted = events.select(needed).filter(pl.col("event_type").is_in(kinds)).collect().lazy()
    purchases, returns = (counted.filter(pl.col("event_type") == kind) for kind in kinds)
    cancelled = pl.concat(
        [_cancelled(purchases, returns, buyer) for buyer in ("customer_id", "order_id")]
    ).collect()
    giant = _giant(purchases.join(cancelled.lazy(), on="event_id", how="anti")).collect()
    found = pl.concat([cancelled, giant]).unique("event_id", keep="first", maintain_order=True)
    return found.filter(~pl.col("event_id").is_in(list(trusted))).sort("event_id")


def learned_from(events: pl.LazyFrame, aside: pl.DataFrame) -> pl.LazyFrame:
    """The events without those that are set aside."""
    return events.join(aside.lazy(), on="event_id", how="anti")


def counted(aside: pl.DataFrame) -> dict[str, int]:
    """Events that are set aside, by reason."""
    return dict(aside.group_by("reason").len().sort("reason").iter_rows())


def _cancelled(purchases: pl.LazyFrame, returns: pl.LazyFrame, buyer: str) -> pl.LazyFrame:
    """Pairs of a purchase and the first return of as many units; a return takes back the latest purchase."""
    same = ["product_id", buyer, "quantity", "month"]
    back = returns.drop_nulls(buyer).select(*same, "occurred_at", "event_id")
    bought = purchases.join(back, on=same, how="semi").select(
        *same, "occurred_at", pl.col("event_id").alias("purchase")
    )
    pairs = (
        back.sort("occurred_at", "event_id")
        .join_asof(
            bought.sort("occurred_at", "purchase"),
            on="occurred_at",
            by=same,
            strategy="backward",
            tolerance=CANCELLED_WITHIN,
            check_sortedness=False,
        )
        .drop_nulls("purchase")
        .unique("purchase", keep="first", maintain_order=True)
    )
    events = [pairs.select("event_id"), pairs.select(pl.col("purchase").alias("event_id"))]
    return pl.concat(events).with_columns(pl.lit(CANCELLED).alias("reason"))


def _giant(purchases: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases far above what else the product sold until then.

    The 99.9th percentile of the others (the higher of two) is at a place among them, sorted; it is far below a
    purchase exactly if more of them than the places before it are.
    """
    suspects = _suspects(purchases).select("event_id", "product_id", "month", "quantity")
    sold = (
        purchases.join(suspects, on="product_id", how="semi")
        .group_by("product_id", "month", "quantity")
        .len("n")
    )
    until_then = suspects.join(sold, on="product_id", suffix="_other").filter(
        pl.col("month_other") <= pl.col("month")
    )
    far_below = GIANT_FACTOR * pl.col("quantity_other") < pl.col("quantity")
    place = (GIANT_SHARE * (pl.col("others") - 1)).ceil()
    return (
        until_then.group_by("event_id")
        .agg(others=pl.col("n").cast(pl.Int64).sum() - 1, far_below=pl.col("n").filter(far_below).sum())
        .filter((pl.col("others") >= OTHERS_NEEDED) & (pl.col("far_below") > place))
        .select("event_id", pl.lit(GIANT).alias("reason"))
    )


def _suspects(purchases: pl.LazyFrame) -> pl.LazyFrame:
    """The few purchases that can be giants, so that not all have to be compared with all.

    At most `beyond` of a product's other purchases are above the percentile. So a giant is one of the largest
    `beyond` + 1 of its month, and far above as many purchases of any month before.
    """
    some = pl.col("quantity").max().over("product_id") > GIANT_FACTOR  # the percentile is at least 1
    beyond = (pl.len().over("product_id") * (1 - GIANT_SHARE)).floor().cast(pl.UInt32)
    place = pl.col("quantity").rank("ordinal", descending=True).over("product_id", "month")
    largest = (
        purchases.filter(some)
        .with_columns(beyond.alias("beyond"), place.alias("place"))
        .filter(pl.col("place") <= pl.col("beyond") + 1)
    )
    before = (
        largest.filter(pl.col("place") == pl.col("beyond") + 1)
        .sort("product_id", "month")
        .select("product_id", "month", pl.col("quantity").cum_max().over("product_id").alias("before"))
    )
    return (
        largest.sort("month")
        .join_asof(
            before.sort("month"),
            on="month",
            by="product_id",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .filter(pl.col("quantity") > GIANT_FACTOR * pl.col("before").fill_null(0))
    )
