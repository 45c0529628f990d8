"""Checks of a whole file against the lake, before anything is written: one wrong row can spoil a panel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import polars as pl

from ml.errors import BadEvents
from ml.events import EventType
from ml.lake import Lake
from ml.months import empty_months, months_apart, shop_month
from ml.pseudonym import PERSONAL, made_with
from ml.settings import MlSettings

REFUSES_ROWS: Final[dict[str, str]] = {
    "future-dates": "future_date",
    "quantity-range": "quantity_too_large",
    "mixed-currencies": "other_currency",
}
"""Checks that, when allowed, refuse the offending rows for this reason and take the others."""

PASSES: Final = frozenset({"isolated-dates", "one-product", "one-month", "empty-months"})
"""Checks that, when allowed, let everything through."""

OTHER_PSEUDONYMS: Final = "other-pseudonyms"

ALLOWABLE: Final = frozenset(REFUSES_ROWS) | PASSES | {OTHER_PSEUDONYMS}


@dataclass(frozen=True)
class Known:
    """What the lake holds: rows and purchases by shop month, two of the products bought, the currency."""

    rows: Mapping[date, int]
    purchases: Mapping[date, int]
    products: frozenset[str]
    currency: str | None


def known(lake: Lake, settings: MlSettings) -> Known:
    """A summary of the accepted events, read from four columns."""
    frame = lake.read("events", ["occurred_at", "event_type", "product_id", "currency"])
    month = shop_month(pl.col("occurred_at"), settings.shop_zone)
    counts = (
        frame.group_by(month.alias("month"))
        .agg(pl.len().alias("rows"), (pl.col("event_type") == EventType.purchase).sum().alias("purchases"))
        .collect(engine="streaming")
    )
    bought = frame.filter(pl.col("event_type") == EventType.purchase)
    products = bought.select(pl.col("product_id").unique()).limit(2).collect()["product_id"]
    currency = frame.select("currency").limit(1).collect()["currency"]
    return Known(
        rows=dict(counts.select("month", "rows").iter_rows()),
        purchases=dict(counts.filter(pl.col("purchases") > 0).select("month", "purchases").iter_rows()),
        products=frozenset(products),
        currency=currency[0] if len(currency) else None,
    )


def check_pseudonyms(lake: Lake, key: bytes, allow: frozenset[str]) -> None:
    """Nothing for a lake whose ids of people this key made: with another one known rows would look new.

    Raises:
        BadEvents: `other-pseudonyms`, unless it is allowed.
    """
    for name in PERSONAL:
        one = lake.read("events", [name]).filter(pl.col(name).is_not_null()).limit(1).collect()
        if one.height and not made_with(one.item(), key) and OTHER_PSEUDONYMS not in allow:
            raise BadEvents(
                OTHER_PSEUDONYMS,
                f"the {name}s of the lake were not made with this pseudonym key, so rows that it has would be taken"
                " again; use the key it was filled with, start a new lake (ML_STATE), or, for a file that it surely"
                f" has not, pass --allow {OTHER_PSEUDONYMS}",
            )


@dataclass(frozen=True)
class RowCheck:
    """Rows that are `wrong` in `column` and stop the file unless `name` is allowed; `why` says what is."""

    name: str
    column: str
    wrong: pl.Series
    why: str


@dataclass(frozen=True)
class FileChecks:
    """All checks of one import; `allow` holds the names of checks that the caller passes over."""

    source: str
    lake: Known
    settings: MlSettings
    allow: frozenset[str]
    now: datetime

    def refuse(self, rows: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        """`reasons` with those of rows that only the whole file shows to be wrong.

        Raises:
            BadEvents: A check fails that was not allowed; its text names the value, the row and the way out.
        """
        for check in (self._future, self._quantity, self._currency):
            reasons = self._refuse_rows(rows, reasons, check(rows, reasons))
        reasons = self._isolated(rows, reasons)
        self._something_left(rows, reasons)
        self._shape(rows.filter(reasons.is_null()))
        return reasons

    def _future(self, rows: pl.DataFrame, _: pl.Series) -> RowCheck:
        latest = self.now + timedelta(seconds=self.settings.future_tolerance_seconds)
        why = f"is after now ({self.now.astimezone(UTC):%Y-%m-%d %H:%M} UTC); check the dates and --timezone"
        return RowCheck("future-dates", "occurred_at", rows["occurred_at"] > latest, why)

    def _quantity(self, rows: pl.DataFrame, _: pl.Series) -> RowCheck:
        most = self.settings.max_quantity
        why = f"is above the {most:,} units that one event may have; correct it, raise ML_MAX_QUANTITY"
        return RowCheck("quantity-range", "quantity", rows["quantity"] > most, why)

    def _currency(self, rows: pl.DataFrame, reasons: pl.Series) -> RowCheck:
        counts = rows.filter(reasons.is_null())["currency"].value_counts(sort=True)
        kept = self.lake.currency or (counts["currency"][0] if counts.height else "")
        why = f"is not the {kept} of {'the lake' if self.lake.currency else 'most rows'}; convert the prices"
        return RowCheck("mixed-currencies", "currency", rows["currency"] != kept, why)

    def _refuse_rows(self, rows: pl.DataFrame, reasons: pl.Series, check: RowCheck) -> pl.Series:
        wrong = check.wrong.fill_null(value=False) & reasons.is_null()
        if not wrong.any():
            return reasons
        if check.name not in self.allow:
            first = rows.row(wrong.arg_max() or 0, named=True)
            raise BadEvents(
                check.name,
                f"{check.column} {_shown(first[check.column])} in row {first['row']:,} of {first['file']!r}"
                f" {check.why}, or refuse just such rows ({wrong.sum():,} of {rows.height:,})"
                f" with --allow {check.name}",
            )
        return reasons.set(wrong, REFUSES_ROWS[check.name])

    def _isolated(self, rows: pl.DataFrame, reasons: pl.Series) -> pl.Series:
        if "isolated-dates" in self.allow:
            return reasons
        month = self._month(rows)
        before, after = months_apart(_sum(self.lake.rows, _count(month.filter(reasons.is_null()))))
        apart = month.is_in(list(before | after)) & reasons.is_null()
        return reasons.set(apart.fill_null(value=False), "isolated_date")

    def _something_left(self, rows: pl.DataFrame, reasons: pl.Series) -> None:
        if reasons.null_count():
            return
        counts = ", ".join(
            f"{reason} {count:,}" for reason, count in reasons.value_counts(sort=True).iter_rows()
        )
        raise BadEvents(
            "no-row-accepted",
            f"none of the {rows.height:,} rows of {self.source!r} can be accepted ({counts}), the first is"
            f" {rows['raw'][0]}; check which column is which with --map",
        )

    def _shape(self, rows: pl.DataFrame) -> None:
        """Purchases of lake and file together make a panel: several products, several months, no hole."""
        bought = rows.filter(pl.col("event_type") == EventType.purchase)
        products = sorted(self.lake.products | frozenset(bought["product_id"].unique().head(2)))
        months = _sum(self.lake.purchases, _count(self._month(bought)))
        holes = set(empty_months(months)) - set(empty_months(self.lake.purchases))
        if len(products) <= 1:
            self._stop(
                "one-product", f"purchases of {len(products)} product {products}; a model needs several"
            )
        if len(months) <= 1:
            self._stop(
                "one-month", f"purchases in {len(months)} month {_spelled(months)}; send a longer history"
            )
        if holes:
            first, *others = _spelled(holes)
            more = f" and {len(others)} months more" if others else ""
            self._stop(
                "empty-months", f"no purchase in {first}{more}, but before and after; send what is missing"
            )

    def _stop(self, check: str, what: str) -> None:
        if check not in self.allow:
            raise BadEvents(
                check, f"{self.source!r} and the lake together have {what}, or pass --allow {check}"
            )

    def _month(self, rows: pl.DataFrame) -> pl.Series:
        return rows.select(shop_month(pl.col("occurred_at"), self.settings.shop_zone).alias("month"))["month"]


def _count(month: pl.Series) -> dict[date, int]:
    return dict(month.drop_nulls().value_counts().iter_rows())


def _sum(one: Mapping[date, int], other: Mapping[date, int]) -> dict[date, int]:
    return {month: one.get(month, 0) + other.get(month, 0) for month in one.keys() | other.keys()}


def _spelled(months: Iterable[date]) -> list[str]:
    return [f"{month:%Y-%m}" for month in sorted(months)]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}"
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
