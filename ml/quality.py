"""The quality gate: which row is refused for which reason, and whether a panel is fit for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.errors import SchemaErrors

from ml.columns import EVENT_SCHEMA, EVENT_TYPES, PANEL_SCHEMA
from ml.errors import QualityGateFailed
from ml.event_rows import OPTIONAL, ROW_SCHEMA
from ml.events import CURRENCY_PATTERN, MAX_PRICE_CENTS, OLDEST, TEXT_LENGTH
from ml.months import shop_month

TEXT_COLUMNS: Final = ("event_id", "product_id", "category", *OPTIONAL)


@dataclass(frozen=True)
class Rule:
    """A row is refused for `reason` where `holds` is false; where it is null the rule says nothing."""

    reason: str
    column: str
    holds: pl.Expr


def row_rules(excluded_categories: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of an event, in the order in which the first broken one names a row's reason."""
    return (
        _present("event_id"),
        *_readable("occurred_at"),
        Rule("before_1970", "occurred_at", pl.col("occurred_at") >= OLDEST),
        _present("product_id"),
        Rule("not_a_product", "category", ~pl.col("category").is_in(list(excluded_categories))),
        _present("event_type"),
        Rule("unknown_event_type", "event_type", pl.col("event_type").is_in(list(EVENT_TYPES))),
        *_readable("quantity"),
        Rule("quantity_not_positive", "quantity", pl.col("quantity") > 0),
        Rule("quantity_not_whole", "quantity", pl.col("quantity") == pl.col("quantity").round(0)),
        *_readable("unit_price_cents", "price"),
        Rule("price_not_positive", "unit_price_cents", pl.col("unit_price_cents") >= 1),
        Rule("price_too_high", "unit_price_cents", pl.col("unit_price_cents") <= MAX_PRICE_CENTS),
        _present("currency"),
        Rule("unknown_currency", "currency", pl.col("currency").str.contains(CURRENCY_PATTERN)),
        *_spelled(),
    )


def judge_rows(rows: pl.DataFrame, excluded_categories: Sequence[str]) -> pl.Series:
    """The reason that refuses each row of `ROW_SCHEMA`, null where every rule holds."""
    rules = row_rules(excluded_categories)
    failed = _failures(rows, ROW_SCHEMA, rules)
    order = {reason: place for place, reason in reversed(list(enumerate(rule.reason for rule in rules)))}
    first = (
        failed.with_columns(pl.col("reason").replace_strict(order, return_dtype=pl.UInt32).alias("place"))
        .sort("index", "place")
        .unique("index", keep="first", maintain_order=True)
    )
    reasons = pl.Series("reason", [None], dtype=pl.String).new_from_index(0, rows.height)
    return reasons.scatter(first["index"], first["reason"])


def event_failures(events: pl.DataFrame, zone: str, latest: datetime, most_units: int) -> pl.DataFrame:
    """One row per broken rule and event of the lake: `index`, `reason`, sorted by the first.

    Args:
        events: `EVENT_SCHEMA`.
        zone: Of the shop, for its months.
        latest: Later events are wrong.
        most_units: Units that one event may have.

    Raises:
        pandera.errors.SchemaErrors: A column or its type is wrong.
    """
    required = [name for name in EVENT_SCHEMA if name not in OPTIONAL]
    rules = (
        *(Rule(f"missing_{name}", name, pl.col(name).is_not_null()) for name in required),
        Rule("before_1970", "occurred_at", pl.col("occurred_at") >= OLDEST),
        Rule("future_date", "occurred_at", pl.col("occurred_at") <= latest),
        Rule("unknown_event_type", "event_type", pl.col("event_type").is_in(list(EVENT_TYPES))),
        Rule("quantity_out_of_range", "quantity", pl.col("quantity").is_between(1, most_units)),
        Rule(
            "price_out_of_range",
            "unit_price_cents",
            pl.col("unit_price_cents").is_between(1, MAX_PRICE_CENTS),
        ),
        Rule("unknown_currency", "currency", pl.col("currency").str.contains(CURRENCY_PATTERN)),
        Rule(
            "month_of_another_time",
            "event_month",
            pl.col("event_month") == shop_month(pl.col("occurred_at"), zone).dt.strftime("%Y-%m"),
        ),
        *_spelled(),
    )
    return _failures(events, EVENT_SCHEMA, rules).sort("index", maintain_order=True)


def panel_failures(panel: pl.DataFrame) -> pl.DataFrame:
    """One row per broken rule and row of a sorted panel: `index`, `reason`, sorted by the first.

    Raises:
        pandera.errors.SchemaErrors: A column or its type is wrong.
    """
    return _failures(panel, PANEL_SCHEMA, _panel_rules()).sort("index", maintain_order=True)


def check_panel(panel: pl.DataFrame) -> None:
    """Nothing for a panel with one row per product and month, no month missing, and amounts that agree.

    Raises:
        QualityGateFailed: Names the rule, how many rows break it and the first of them.
    """
    failed = panel_failures(panel)
    if failed.height:
        reason, index = failed["reason"][0], failed["index"][0]
        row = panel.row(index, named=True)
        raise QualityGateFailed(
            f"panel: {reason} in {failed.filter(pl.col('reason') == reason).height} of {panel.height} rows,"
            f" first product {row['product_id']!r} in {row['month']:%Y-%m};"
            " build the panel again from the events"
        )


def _spelled() -> tuple[Rule, ...]:
    return (
        *(Rule("text_too_long", name, pl.col(name).str.len_chars() <= TEXT_LENGTH) for name in TEXT_COLUMNS),
        *(Rule("control_character", name, ~pl.col(name).str.contains(r"\p{Cc}")) for name in TEXT_COLUMNS),
    )


def _panel_rules() -> tuple[Rule, ...]:
    counts = [name for name, kind in PANEL_SCHEMA.items() if kind == pl.Int64]
    first = pl.col("month") == pl.col("month").min().over("product_id")
    one_later = pl.col("month").shift(1).over("product_id").dt.offset_by("1mo")
    return (
        Rule("month_missing_or_twice", "month", pl.col("month") == one_later),
        Rule("month_not_a_first_day", "month", pl.col("month").dt.day() == 1),
        *(Rule(f"{name}_negative", name, pl.col(name) >= 0) for name in counts),
        *(Rule(f"{name}_missing", name, pl.col(name).is_not_null()) for name in counts),
        Rule("no_sale_in_first_month", "units", (pl.col("units") > 0) | ~first),
        Rule(
            "price_without_sale",
            "mean_price_cents",
            pl.col("mean_price_cents").is_null() == (pl.col("units") == 0),
        ),
        Rule("orders_above_units", "orders", pl.col("orders") <= pl.col("units")),
        Rule("largest_order_above_units", "largest_order", pl.col("largest_order") <= pl.col("units")),
        Rule("share_outside_0_to_1", "campaign_share", pl.col("campaign_share").is_between(0, 1)),
    )


def _present(name: str) -> Rule:
    return Rule(f"missing_{name}", name, pl.col(name).is_not_null())


def _readable(name: str, shown: str | None = None) -> tuple[Rule, Rule]:
    """Missing where nothing was given, unreadable where something was."""
    given, there = pl.col(f"{name}_given"), pl.col(name).is_not_null()
    shown = shown or name
    return Rule(f"missing_{shown}", name, there | given), Rule(f"unreadable_{shown}", name, there | ~given)


def _failures(frame: pl.DataFrame, schema: dict[str, Any], rules: Sequence[Rule]) -> pl.DataFrame:
    """One row per broken rule and row: `index`, `reason`. A wrong column or type is a defect and raises."""
    columns = {
        name: pa.Column(kind, [_check(rule) for rule in rules if rule.column == name], nullable=True)
        for name, kind in schema.items()
    }
    try:
        pa.DataFrameSchema(columns, strict=True).validate(frame, lazy=True)
    except SchemaErrors as error:
        cases: pl.DataFrame = error.failure_cases
        if set(cases["check"]) - {rule.reason for rule in rules}:
            raise
        return cases.select(pl.col("index").cast(pl.UInt32), pl.col("check").alias("reason"))
    return pl.DataFrame(schema={"index": pl.UInt32, "reason": pl.String})


def _check(rule: Rule) -> pa.Check:
    def holds(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.holds.fill_null(value=True).alias(rule.column))

    return pa.Check(holds, name=rule.reason, ignore_na=False)
