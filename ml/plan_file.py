"""A plan in a file: price, promotion and advertising of products in periods, put beside their history."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from ml.errors import BadPanel
from ml.event_files import read_file
from ml.history import Floats, History
from ml.panel_file import dates, numbers

KEYS: Final = ("series_id", "period")
VALUES: Final = ("price", "promotion", "advertising")

_GUESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "series_id": ("series_id", "product_id", "sku", "item_id", "stock_code", "unique_id", "product", "item"),
    "period": ("period", "month", "week", "date", "ds", "period_start", "week_start", "day"),
    "price": ("price", "planned_price", "unit_price", "sale_price", "item_price"),
    "promotion": ("promotion", "planned_promotion", "promo", "deal", "discount", "on_promotion"),
    "advertising": (
        *("advertising", "planned_advertising", "ad_spend", "advertising_spend", "adspend", "ads", "ad"),
        *("feat", "feature", "media", "spend", "campaign"),
    ),
}
"""Names that planners use, the surest first; compared in lower case without spaces, dots and underscores."""

ANSWERS: Final = {"true": "1", "yes": "1", "y": "1", "false": "0", "no": "0", "n": "0"}
_CENTS: Final = 100.0
_FARTHEST: Final = 600.0
"""Logarithms of the price index stay in the range of floating point numbers."""


@dataclass(frozen=True, eq=False)
class PlanRows:
    """A checked plan.

    Attributes:
        rows: `series_id` String, `period` Date, and `VALUES` Float64 in the units of the file, null where nothing
            was planned; one row per series and period, sorted by both.
        columns: Column of the file by name here.
        counts: Rows that were left out or changed, by reason.
    """

    rows: pl.DataFrame
    columns: Mapping[str, str]
    counts: Mapping[str, int]


def read_plan(path: Path, canonical: Callable[[pl.Series], pl.Series] | None = None) -> PlanRows:
    """Read a Parquet or CSV file with `series_id, period` and some of `price, promotion, advertising`.

    A price that is not above 0, and a promotion or advertising below 0, are no plan and are counted, as are rows
    that come twice. Promotion may be a share, a depth, or yes and no; advertising may be a share or money.

    Args:
        path: The file; periods as in a panel file.
        canonical: How to spell series ids, where the history spells them in one way.

    Raises:
        BadEvents: The file cannot be read or has no rows.
        BadPanel: A column is missing or unreadable, or a series has two different plans for one period.
    """
    frame = read_file(path)
    columns = columns_of(frame.columns, path)
    rows = frame.select(
        pl.col(columns["series_id"]).cast(pl.String).alias("series_id"),
        dates(frame[columns["period"]]).alias("period"),
        *(
            _numbers(frame[columns[name]]).alias(name)
            if name in columns
            else pl.lit(None, pl.Float64).alias(name)
            for name in VALUES
        ),
    )
    if canonical is not None:
        rows = rows.with_columns(canonical(rows["series_id"]))
    named = rows.drop_nulls(KEYS)
    wrong = {
        "prices_not_above_zero": pl.col("price") <= 0,
        "negative_promotions": pl.col("promotion") < 0,
        "negative_advertising": pl.col("advertising") < 0,
    }
    counts = {name: int(named.select(which.sum()).item() or 0) for name, which in wrong.items()}
    usable = named.with_columns(
        pl.when(which.not_()).then(pl.col(name)).alias(name)
        for name, which in zip(VALUES, wrong.values(), strict=True)
    ).unique()
    _refuse_conflicts(usable)
    counts |= {
        "rows": rows.height,
        "rows_without_series_or_period": rows.height - named.height,
        "duplicated_rows": named.height - usable.height,
    }
    return PlanRows(usable.sort(KEYS), columns, counts)


def with_plan(history: History, plan: PlanRows, *, cents: float = _CENTS) -> tuple[History, dict[str, int]]:
    """The history with the plan, and how many rows have a place in it or why they have none.

    Args:
        history: Without a plan.
        plan: Rows of products that are not in the history, and of periods that are not, are counted.
        cents: What one of the plan's price units is in the history's.
    """
    rows, position = plan.rows, {name: i for i, name in enumerate(history.product_ids)}
    product = rows["series_id"].replace_strict(position, default=None, return_dtype=pl.Int64)
    place = rows["period"].to_numpy().astype("datetime64[D]").astype(history.months.dtype).astype(np.int64)
    column = (place - int(history.months[0].astype(np.int64))) / history.step
    known = product.is_not_null().to_numpy()
    later, off = column > history.T, (column < 0) | (column != np.floor(column))
    kept = known & ~later & ~off
    counts = {
        "rows_of_unknown_series": int((~known).sum()),
        "rows_of_other_periods": int((known & off).sum()),
        "rows_after_the_next_period": int((known & later & ~off).sum()),
        "rows_used": int(kept.sum()),
    }
    at = product.to_numpy()[kept].astype(np.intp), column[kept].astype(np.intp)
    arrays: dict[str, Floats] = {}
    for name, planned, factor in zip(VALUES, ("price_cents", *VALUES[1:]), (cents, 1.0, 1.0), strict=True):
        values = rows[name].fill_null(np.nan).to_numpy()[kept] * factor
        if not np.isnan(values).all():
            arrays[planned] = np.full((history.n, history.T + 1), np.nan)
            arrays[planned][at] = values
    if "price_cents" in arrays:
        arrays["shop_price"] = np.tile(price_index(arrays["price_cents"]), (history.n, 1))
    return replace(history, plan=arrays), counts


def price_index(prices: Floats) -> Floats:
    """(T,) chained Jevons index of (n, T) prices: 1, then times the geometric mean of the changes of each period.

    Only products with a price in both periods count, so a value says nothing of later prices (ILO et al. 2020,
    Consumer Price Index Manual, chapter 8).
    """
    changes = np.diff(np.log(prices), axis=1)
    known = ~np.isnan(changes)
    mean = np.where(known, changes, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    index: Floats = np.exp(np.clip(np.concatenate([[0.0], np.cumsum(mean)]), -_FARTHEST, _FARTHEST))
    return index


def columns_of(found: Sequence[str], path: Path) -> dict[str, str]:
    """Column of a plan file by name here, for `KEYS` and some of `VALUES`.

    Raises:
        BadPanel: A key is missing, or all values are.
    """
    by_name = {_plain(column): column for column in reversed(found)}
    columns = {}
    for name, guesses in _GUESSES.items():
        if (
            match := next((by_name[_plain(guess)] for guess in guesses if _plain(guess) in by_name), None)
        ) is not None:
            columns[name] = match
    if missing := [name for name in KEYS if name not in columns]:
        raise BadPanel("missing-columns", f"plan {str(path)!r} has columns {list(found)}, but not {missing}")
    if not any(name in columns for name in VALUES):
        raise BadPanel(
            "missing-columns",
            f"plan {str(path)!r} has columns {list(found)}, but none of {', '.join(VALUES)}",
        )
    return columns


def _numbers(column: pl.Series) -> pl.Series:
    """Numbers, or yes and no as 1 and 0."""
    if column.dtype == pl.String:
        text = column.str.strip_chars().str.to_lowercase()
        column = text.replace(ANSWERS)
    return numbers(column)


def _refuse_conflicts(rows: pl.DataFrame) -> None:
    twice = rows.filter(rows.select(KEYS).is_duplicated()).sort(KEYS)
    if twice.height:
        series, period = twice.row(0)[:2]
        raise BadPanel(
            "conflicting-plan",
            f"series {series!r} has two different plans for {period}, as have"
            f" {twice.select(KEYS).n_unique() - 1} others; keep one row for each",
        )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
