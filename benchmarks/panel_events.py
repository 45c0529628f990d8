"""Made-up events of any number for `benchmarks.panel`, as the lake keeps them: Parquet by month, sorted by product.

Written month by month in pieces, so that the number of events needs no memory. Seven in ten are views, three in
twenty carts; returns take back purchases of the same month or the one before. Demand of products follows the law of
Zipf and Mandelbrot: the most popular of 50,000 has 0.16 % of it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from ml.columns import EVENT_SCHEMA

ZONE: Final = ZoneInfo("Europe/Istanbul")
PIECE: Final = 1_000_000
ROW_GROUP: Final = 262_144
MONTHS: Final = 36
SHARES: Final = {"view": 0.70, "cart": 0.15, "purchase": 0.12, "return": 0.03}
_FIRST: Final = np.datetime64("2023-11", "M")
LATE: Final = 10**11
"""Number of the first late event."""

_BIG_ORDER: Final = 2e-5
_HEAD: Final = 100
_NO_CATEGORY, _WITH_ORDER, _WITH_CUSTOMER, _WITHOUT_CAMPAIGN = 0.02, 0.9, 0.8, 0.7


def write_events(folder: Path, events: int, products: int, seed: int, repeated: float = 0.0) -> None:
    """Write `events` events over `MONTHS` months to `folder/event_month=YYYY-MM/`; the same seed, the same bytes.

    Args:
        folder: Made; must not exist.
        events: How many different events.
        products: How many products.
        seed: Of all draws.
        repeated: Share of events that are written a second time, in a file of their own for each month.
    """
    rng = np.random.default_rng(seed)
    popularity = _popularity(products)
    returnable = pl.DataFrame()
    number = 0
    for index, month in enumerate(np.arange(_FIRST, _FIRST + MONTHS)):
        target = folder / f"event_month={month}"
        target.mkdir(parents=True)
        again: list[pl.DataFrame] = []
        for place, size in enumerate(_pieces(events * (index + 1) // MONTHS - events * index // MONTHS)):
            piece = _piece(rng, size, popularity, month, returnable, number)
            number += size
            returnable = piece.filter(pl.col("event_type") == "purchase").head(50_000)
            again.append(piece.sample(fraction=repeated, seed=seed))
            _write(piece, target / f"{place:04}.parquet")
        if repeated:
            _write(pl.concat(again), target / "again.parquet")


def late_events(file: Path, products: int, seed: int) -> None:
    """Write a thousand events of one month in the middle that the lake did not have."""
    rng = np.random.default_rng(seed)
    popularity = _popularity(products)
    month = _FIRST + MONTHS // 2
    piece = _piece(rng, 1000, popularity, month, pl.DataFrame(), LATE)
    _write(piece, file)


def _write(events: pl.DataFrame, file: Path) -> None:
    ordered = events.sort("product_id", "occurred_at", "event_id")
    ordered.write_parquet(file, compression="snappy", row_group_size=ROW_GROUP)


def _popularity(products: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Cumulated share of all events, most popular first."""
    shares = 1.0 / (np.arange(products) + _HEAD)
    return np.cumsum(shares / shares.sum())


def _pieces(size: int) -> Iterator[int]:
    while size > 0:
        yield min(size, PIECE)
        size -= PIECE


def _piece(  # noqa: PLR0917 - one caller beside the two above
    rng: np.random.Generator,
    size: int,
    popularity: np.ndarray[tuple[int], np.dtype[np.float64]],
    month: np.datetime64,
    returnable: pl.DataFrame,
    number: int,
) -> pl.DataFrame:
    """So many events of one month, in no order."""
    start, end = (
        datetime.fromisoformat(f"{each}-01").replace(tzinfo=ZONE).astimezone(UTC)
        for each in (month, month + 1)
    )
    seconds = int((end - start).total_seconds())
    counts = rng.multinomial(size, list(SHARES.values()))
    frame = pl.DataFrame(
        {
            "event_id": number + np.arange(size),
            "event_type": np.repeat(list(SHARES), counts),
            "second": rng.integers(0, seconds, size),
            "product": np.searchsorted(popularity, rng.random(size)),
            "quantity": np.where(
                rng.random(size) < _BIG_ORDER, rng.integers(500, 5000, size), rng.geometric(0.6, size)
            ),
            "order": rng.integers(0, size, size) + number,
            "customer": rng.zipf(1.5, size) * 7919 % (size // 4 + 1),
            "chance": rng.random(size),
        }
    )
    deal = pl.col("event_type").is_in(["purchase", "return"])
    drawn = frame.select(
        pl.format("e-{}", pl.col("event_id").cast(pl.String).str.zfill(12)).alias("event_id"),
        "event_type",
        (pl.lit(start) + pl.duration(seconds=pl.col("second")))
        .cast(EVENT_SCHEMA["occurred_at"])
        .alias("occurred_at"),
        pl.format("p-{}", pl.col("product").cast(pl.String).str.zfill(6)).alias("product_id"),
        pl.when(pl.col("chance") < _NO_CATEGORY)
        .then(pl.lit("unknown"))
        .otherwise(pl.format("category {}", pl.col("product") % 40))
        .alias("category"),
        (100 + pl.col("product") * 37 % 9000 + pl.col("second") % 50).alias("unit_price_cents"),
        pl.lit("TRY").alias("currency"),
        pl.when(deal).then(pl.col("quantity")).otherwise(1).alias("quantity"),
        pl.when(deal & (pl.col("chance") < _WITH_ORDER))
        .then(pl.format("o-{}", pl.col("order")))
        .alias("order_id"),
        pl.when(pl.col("chance") < _WITH_CUSTOMER)
        .then(pl.format("c-{}", pl.col("customer")))
        .alias("customer_id"),
        pl.lit(None, pl.String).alias("session_id"),
        pl.when(pl.col("chance") > _WITHOUT_CAMPAIGN).then(pl.lit("summer")).alias("campaign"),
        pl.lit(None, pl.String).alias("segment"),
        pl.lit("shop").alias("source"),
    )
    if returnable.height == 0:
        return drawn
    return _taken_back(drawn, returnable, rng)


def _taken_back(drawn: pl.DataFrame, returnable: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Most returns name product, order and customer of a purchase before them; some come within a day of one."""
    back = drawn.filter(pl.col("event_type") == "return")
    of = returnable[rng.integers(0, returnable.height, back.height)]
    named = ["product_id", "category", "order_id", "customer_id"]
    replaced = back.with_columns(of.select(named))
    return pl.concat([drawn.filter(pl.col("event_type") != "return"), replaced])
