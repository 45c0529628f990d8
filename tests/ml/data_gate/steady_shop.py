"""A made-up shop in which nothing ever changes, and the faults that data can have, each as a function of its events."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from ml.columns import EVENT_SCHEMA

ZONE: Final = "Europe/Istanbul"
CATEGORIES: Final = ("bags", "toys", "lamps", "tea")
SOURCES: Final = ("web", "store", "app", "market", "phone")
LAST: Final = date(2026, 6, 30)
"""The last whole day; the events end on the day after it."""

Fault = Callable[[pl.DataFrame, str], pl.DataFrame]
"""From good events and the shop's zone to bad ones."""


def steady_shop(per_day: float = 300.0, days: int = 100, seed: int = 0, products: int = 40) -> pl.DataFrame:
    """Events in `EVENT_SCHEMA` of `days` whole days up to `LAST` and the morning after.

    Weekends are busier, afternoons too; orders have one to three lines. A sixth of the products launches on the way.
    """
    rng = np.random.default_rng(seed)
    weekday = (np.arange(days + 1) + (LAST.toordinal() - days + 7)) % 7  # 0 is Monday
    rate = per_day * np.where(weekday >= 5, 1.4, 0.9) * rng.gamma(400, 1 / 400, days + 1)
    rate[-1] /= 8
    orders = rng.poisson(rate / 2)
    day = np.repeat(np.arange(days + 1), orders)
    hour = np.clip(rng.beta(3.0, 2.2, len(day)) * 24, 0, 23.999)
    hour[day == days] /= 6
    lines = rng.integers(1, 4, len(day))
    order = np.repeat(np.arange(len(day)), lines)
    n = len(order)
    weight = 1 / np.arange(1, products + 1) ** 0.6
    product = rng.choice(products, n, p=weight / weight.sum())
    launch = np.where(np.arange(products) % 6 == 5, np.arange(products) * days // (2 * products), -1)
    product = np.where(launch[product] < day[order], product, 0)
    price = np.exp(rng.normal(7, 0.8, products)).astype(np.int64)[product]
    first = datetime(LAST.year, LAST.month, LAST.day, tzinfo=ZoneInfo(ZONE)) - timedelta(days=days - 1)
    kind = rng.choice(["purchase", "view", "return"], n, p=[0.5, 0.47, 0.03])
    frame = pl.DataFrame(
        {
            "event_id": [f"e-{seed}-{i}" for i in range(n)],
            "event_type": kind,
            "second": ((day + hour / 24)[order] * 86_400).astype(np.int64),
            "product_id": np.char.add("P", product.astype(str)),
            "category": np.array(CATEGORIES)[product % len(CATEGORIES)],
            "unit_price_cents": (price * rng.choice([1.0, 0.9, 0.8], n, p=[0.8, 0.1, 0.1])).astype(np.int64),
            "quantity": rng.geometric(0.6, n),
            "order_id": [f"o-{seed}-{i}" for i in order],
            "source": np.array(SOURCES)[order % len(SOURCES)],
        }
    )
    return lake_rows(
        frame.with_columns(
            (pl.lit(first.astimezone(UTC)) + pl.duration(seconds="second")).alias("occurred_at"),
            pl.lit("TRY").alias("currency"),
            pl.lit(None, pl.String).alias("customer_id"),
        )
    )


def lake_rows(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """The frame in `EVENT_SCHEMA`, with null in what it does not have and the months of its times."""
    month = pl.col("occurred_at").dt.convert_time_zone(zone).dt.strftime("%Y-%m")
    absent = [pl.lit(None).alias(name) for name in EVENT_SCHEMA if name not in frame.columns]
    filled = frame.with_columns(absent).with_columns(month.alias("event_month"))
    return filled.select(pl.col(name).cast(kind) for name, kind in EVENT_SCHEMA.items())


def of_last_day(frame: pl.DataFrame, zone: str) -> pl.Expr:
    """Whether an event is of the last whole day of the frame in the shop's zone."""
    day = pl.col("occurred_at").dt.convert_time_zone(zone).dt.date()
    newest: date = frame.select(day.max()).item()
    return day == newest - timedelta(days=1)


def half_lost(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """Half of the last day's events never came."""
    keep = pl.int_range(pl.len()) % 2 == 0
    return frame.filter(~of_last_day(frame, zone) | keep)


def prices_in_cents_of_cents(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """Prices of the last day times 100."""
    return _on_last_day(frame, zone, unit_price_cents=pl.col("unit_price_cents") * 100)


def sent_twice(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """The last day's file came again, under new ids."""
    again = frame.filter(of_last_day(frame, zone)).with_columns(
        pl.format("{}-again", "event_id").alias("event_id")
    )
    return pl.concat([frame, again])


def categories_renamed(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """On the last day every category has another name."""
    return _on_last_day(frame, zone, category=pl.format("new {}", "category"))


def products_renamed(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """On the last day every product has another id."""
    return _on_last_day(frame, zone, product_id=pl.format("new {}", "product_id"))


def source_silent(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """One of the sources sent nothing on the last day."""
    first = frame["source"].mode().sort()[0]
    return frame.filter(~of_last_day(frame, zone) | (pl.col("source") != first))


def zone_lost(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """The last day's local times were taken for UTC: three hours late, and the last three in the next day."""
    return lake_rows(_on_last_day(frame, zone, occurred_at=pl.col("occurred_at") + timedelta(hours=3)), zone)


def in_pieces(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """The last day's quantities are pieces where they were dozens."""
    return _on_last_day(frame, zone, quantity=pl.col("quantity") * 12)


def in_dozens(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """The last day's quantities are dozens where they were pieces, begun ones whole."""
    return _on_last_day(frame, zone, quantity=((pl.col("quantity") + 11) // 12))


def day_missing(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """Nothing of the last day came."""
    return frame.filter(~of_last_day(frame, zone))


def products_gone(frame: pl.DataFrame, zone: str = ZONE) -> pl.DataFrame:
    """The products of one category have no event in the last week."""
    recent = pl.col("occurred_at") >= pl.lit(frame["occurred_at"].max()) - timedelta(days=9)
    return frame.filter(~(recent & (pl.col("category") == frame["category"].mode().sort()[0])))


def _on_last_day(frame: pl.DataFrame, zone: str, **changes: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(of_last_day(frame, zone)).then(change).otherwise(pl.col(name)).alias(name)
        for name, change in changes.items()
    )


FAULTS: Final[dict[str, Fault]] = {
    "half of the day lost": half_lost,
    "the whole day lost": day_missing,
    "one source of five silent": source_silent,
    "the day's file twice, new ids": sent_twice,
    "prices times 100": prices_in_cents_of_cents,
    "categories renamed": categories_renamed,
    "products renamed": products_renamed,
    "time zone lost, 3 hours": zone_lost,
    "units times 12": in_pieces,
    "units in dozens": in_dozens,
    "a category's products gone for a week": products_gone,
}
