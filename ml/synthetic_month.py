"""One month of a made-up shop's events."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.columns import EVENT_SCHEMA
from ml.events import Event, EventType
from ml.synthetic_shop import CAMPAIGNS, CATEGORIES, Shop

Integers = NDArray[np.int64]

ZONE: Final = "Europe/Istanbul"
CURRENCY: Final = "TRY"
SEGMENTS: Final = ("istanbul", "ankara", "izmir", "anatolia", "abroad")
COLUMNS: Final = tuple(Event.model_fields)

_PER_LINE: Final = {EventType.view: 2.0, EventType.cart: 0.8}
_INTEREST_AHEAD: Final = 0.6
_RETURNED_SHARE: Final = 0.04
_GUEST_SHARE: Final = 0.15
_SPREAD: Final = 0.05
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True)
class Month:
    """One month of the shop: `days` of it have happened."""

    shop: Shop
    t: int
    month: np.datetime64
    days: int
    rng: np.random.Generator
    shift: tuple[float, str] | None

    def events(self, late: pl.DataFrame, last_day: date) -> tuple[pl.DataFrame, pl.DataFrame]:
        """All events of the month, oldest first, and returns that come later; `late` are earlier ones."""
        seen = [self._looks(kind, per_line) for kind, per_line in _PER_LINE.items()]
        purchases = self._purchases()
        returns = pl.concat([self._returns(purchases), *([late] if late.height else [])])
        returns = returns.filter(pl.col("occurred_at").dt.date() <= last_day)
        this_month = pl.col("occurred_at").dt.strftime("%Y-%m") == str(self.month)
        frame = pl.concat([purchases, *seen, returns.filter(this_month)]).sort("occurred_at", "event_id")
        return _finished(frame), returns.filter(~this_month)

    def _looks(self, kind: EventType, per_line: float) -> pl.DataFrame:
        """Views or carts: sessions of people of whom most buy a month later."""
        now, next_month = self.shop.lines[:, self.t], self.shop.lines[:, self.t + 1]
        ahead = (1 - _INTEREST_AHEAD) * now + _INTEREST_AHEAD * next_month
        product = self._drawn(per_line * ahead * (now > 0))
        n = len(product)
        session = self.rng.integers(0, n // 3 + 1, n)
        drawn = {
            "quantity": np.ones(n, np.int64),
            "second": self._moments(n),
            "session": session,
            "customer": self._customers(n // 3 + 1)[session],
        }
        return self._frame(kind, product, drawn)

    def _purchases(self) -> pl.DataFrame:
        """Order lines; about two to an order, which has one customer and one moment."""
        product = self._drawn(self.shop.lines[:, self.t] * self._factor)
        n, orders = len(product), len(product) // 2 + 1
        order = self.rng.integers(0, orders, n)
        few, many = self.rng.geometric(0.65, n), 3 + np.exp(self.rng.normal(2.2, 0.7, n)).astype(np.int64)
        drawn = {
            "quantity": np.where(self.shop.bulk[product], many, few),
            "second": self._moments(orders)[order],
            "session": order,
            "customer": self._customers(orders)[order],
        }
        return self._frame(EventType.purchase, product, drawn)

    def _returns(self, purchases: pl.DataFrame) -> pl.DataFrame:
        """Whole lines sent back one to 28 days later."""
        days = pl.Series("days", 1 + self.rng.geometric(0.15, purchases.height).clip(max=27))
        chosen = pl.Series(self.rng.random(purchases.height) < _RETURNED_SHARE)
        return (
            purchases.with_columns(
                pl.format("{}-r", "event_id").alias("event_id"),
                pl.lit(EventType.return_.value).alias("event_type"),
                pl.col("occurred_at") + pl.duration(days=pl.lit(days)),
            )
            .filter(chosen)
            .select(purchases.columns)
        )

    @property
    def _factor(self) -> float:
        return self.shift[0] if self.shift is not None and self.shift[1] == str(self.month) else 1.0

    def _drawn(self, lines: NDArray[np.float64]) -> NDArray[np.intp]:
        """Product of each event: gamma-Poisson counts around `lines` for a whole month."""
        share = self.days / month_length(self.month)
        mean = lines * share * self.rng.gamma(1 / _SPREAD, _SPREAD, len(lines))
        return np.repeat(np.arange(len(lines)), self.rng.poisson(mean))

    def _moments(self, n: int) -> Integers:
        """Seconds since the month began; weekends are busier, and so are afternoons."""
        first = self.month.astype("datetime64[D]")
        weekday = (np.arange(self.days) + first.astype(np.int64) + 3) % 7
        weight = np.where(weekday >= 5, 1.4, 1.0)  # noqa: PLR2004  (Saturday)
        day = self.rng.choice(self.days, n, p=weight / weight.sum())
        return day * _DAY_SECONDS + (self.rng.beta(3.0, 2.2, n) * _DAY_SECONDS).astype(np.int64)

    def _customers(self, n: int) -> Integers:
        """Customer numbers, few of them frequent; -1 for a guest."""
        many = 20 * len(self.shop.category)
        known = (many * self.rng.random(n) ** 2).astype(np.int64)
        return np.where(self.rng.random(n) < _GUEST_SHARE, -1, known)

    def _frame(
        self, kind: EventType, product: NDArray[np.intp], drawn: Mapping[str, Integers]
    ) -> pl.DataFrame:
        """Events with readable ids; those of a shifted month have ids of their own."""
        tag = f"{self.month}{'' if self._factor == 1 else f'x{self._factor:g}'}-{kind.value[0]}"
        numbers = pl.DataFrame(
            {
                "product": product,
                "category": np.array(list(CATEGORIES))[self.shop.category[product]],
                "unit_price_cents": self.shop.price_cents[product, self.t],
                "cheaper": self.shop.discount[product, self.t] > 0,
                **drawn,
            }
        )
        start = pl.lit(f"{self.month}-01").str.to_datetime("%Y-%m-%d", time_unit="us")
        known, customer = pl.col("customer") >= 0, pl.col("customer").abs()
        segment = pl.lit(pl.Series(SEGMENTS)).gather(customer % len(SEGMENTS))
        ordered = kind is EventType.purchase
        return numbers.select(
            pl.format(f"{tag}{{}}", pl.int_range(pl.len())).alias("event_id"),
            pl.lit(kind.value).alias("event_type"),
            (start + pl.duration(seconds="second")).alias("occurred_at"),
            pl.format("SKU-{}", pl.col("product").cast(pl.String).str.zfill(5)).alias("product_id"),
            "category",
            "unit_price_cents",
            pl.lit(CURRENCY).alias("currency"),
            "quantity",
            (pl.format(f"{tag}o{{}}", "session") if ordered else pl.lit(None, pl.String)).alias("order_id"),
            pl.when(known).then(pl.format("C-{}", "customer")).alias("customer_id"),
            pl.format(f"{tag}s{{}}", "session").alias("session_id"),
            pl.when("cheaper").then(pl.lit(self._campaign)).alias("campaign"),
            pl.when(known).then(segment).alias("segment"),
        )

    @property
    def _campaign(self) -> str:
        """What a lower price is called this month."""
        return CAMPAIGNS.get(int(str(self.month)[5:]), "promotion")


def _finished(frame: pl.DataFrame) -> pl.DataFrame:
    """Instants instead of wall-clock times, and the lake's types."""
    instant = pl.col("occurred_at").dt.replace_time_zone(ZONE, ambiguous="earliest", non_existent="null")
    return frame.with_columns(instant.dt.convert_time_zone("UTC")).select(
        pl.col(name).cast(EVENT_SCHEMA[name]) for name in COLUMNS
    )


def month_length(month: np.datetime64) -> int:
    """Days of the month."""
    year, number = (int(part) for part in str(month).split("-"))
    return calendar.monthrange(year, number)[1]
