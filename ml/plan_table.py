"""The plan of a shop: price, promotion and advertising of products in months, in the lake's table `plan`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from ml.columns import PLAN_SCHEMA
from ml.errors import BadPanel, NotEnoughHistory
from ml.event_files import read_file
from ml.event_rows import canonical_ids
from ml.events import MAX_PRICE_CENTS
from ml.history import History
from ml.lake import Lake
from ml.panel_file import DATE_FORMS, dates
from ml.plan_file import ANSWERS, KEYS, VALUES, PlanRows, columns_of, with_plan

TABLE: Final = "plan"
MOST_MONTHS_AHEAD: Final = 36
MOST_EXAMPLES: Final = 20

_KEY: Final = ("product_id", "month")
_STORED: Final = ("price_cents", "promotion", "advertising_cents")
_MONEY: Final = ("price", "advertising")
_CENTS: Final = 100.0


@dataclass(frozen=True)
class PlanReport:
    """What an import of a plan did.

    Attributes:
        rows: Of the file.
        accepted: Rows that are now the newest plan of their product and month.
        changed: Accepted rows that differ from what the table had.
        refused: Rows that were not taken, by reason.
        refused_rows: The first of them: `row` of the file (1 is the first after the header), reason, product, month.
        columns: Column of the file by name here.
        next_month: The month to forecast, YYYY-MM.
        planned_for_next_month: Products with a plan for it, after the import.
    """

    rows: int
    accepted: int
    changed: int
    refused: Mapping[str, int]
    refused_rows: list[dict[str, Any]]
    columns: Mapping[str, str]
    next_month: str
    planned_for_next_month: int

    def to_json(self) -> dict[str, Any]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


def import_plan(path: Path, lake: Lake, *, past: bool, now: datetime) -> PlanReport:
    """Take a Parquet or CSV file of plans into the lake; the same file again writes nothing.

    The file has a product, a month (any day of it) and some of price, promotion and advertising under usual names:
    money in whole currency units, or in cents where the column's name ends so. A row replaces the
    whole plan of its product and month. A row that cannot be taken is left out and counted, the others are taken.

    Args:
        path: The file.
        lake: With a panel, which says what products there are and which months are over.
        past: Take rows of months that are over too, as they were planned before those months began.
        now: Aware instant of the import.

    Raises:
        BadEvents: The file cannot be read or has no rows.
        BadPanel: A column is missing or holds no single values, or the months are neither dates nor text.
        NotEnoughHistory: There is no panel yet.
        StoreUnavailable: The lake cannot be written.
    """
    frame = read_file(path)
    columns = columns_of([name.removesuffix("_cents") for name in frame.columns], path)
    named = {name: _found(frame.columns, column) for name, column in columns.items()}
    try:
        rows = _rows(frame, named)
    except PolarsError as error:
        raise BadPanel(
            "unreadable-column", f"plan {str(path)!r} has lists or records in a column: {error}"
        ) from error
    with lake.lock():
        shop = _Shop.of(lake)
        judged = _judged(rows, shop, past=past)
        accepted = judged.filter(pl.col("reason").is_null())
        before = lake.read(TABLE).collect()
        changed = accepted.join(before, on=[*_KEY, *_STORED], how="anti", nulls_equal=True)
        after = _merged(before, changed, str(path), now)
        if changed.height:
            lake.overwrite(TABLE, after)
    refused = judged.filter(pl.col("reason").is_not_null())
    reasons = refused.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return PlanReport(
        rows=rows.height,
        accepted=accepted.height,
        changed=changed.height,
        refused=dict(reasons.iter_rows()),
        refused_rows=_examples(refused),
        columns=named,
        next_month=f"{shop.next_month:%Y-%m}",
        planned_for_next_month=after.filter(pl.col("month") == shop.next_month).height,
    )


def with_lake_plan(lake: Lake, history: History) -> History:
    """The history with what the table says of its products and months, itself where that is nothing."""
    if not lake.exists(TABLE):
        return history
    stored = dict(zip(VALUES, _STORED, strict=True))
    rows = lake.read(TABLE).select(
        *(pl.col(column).alias(name) for name, column in zip(KEYS, _KEY, strict=True)),
        *(pl.col(column).cast(pl.Float64).alias(name) for name, column in stored.items()),
    )
    return with_plan(history, PlanRows(rows.sort(KEYS).collect(), stored, {}), cents=1.0)[0]


@dataclass(frozen=True)
class _Shop:
    """What a plan can be about: products of the panel, from its first month to some time after its last."""

    products: pl.Series
    first_month: date
    next_month: date

    @classmethod
    def of(cls, lake: Lake) -> "_Shop":
        panel = lake.read("panel", ["product_id", "month"])
        first, last = (
            panel.select(pl.col("month").min(), pl.col("month").max().alias("last")).collect().row(0)
        )
        if last is None:
            raise NotEnoughHistory("the lake has no panel to plan for; run `python -m ml panel` first")
        following = pl.select(pl.lit(last).dt.offset_by("1mo")).item()
        return cls(panel.select(pl.col("product_id").unique()).collect()["product_id"], first, following)


def _found(columns: list[str], wanted: str) -> str:
    """The column of that name or, where there is none, in cents."""
    return wanted if wanted in columns else f"{wanted}_cents"


def _rows(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """`row`, `_KEY`, `_STORED` as numbers not yet judged, and `unreadable`: whether one of them is no number."""
    read = {name: _number(frame[columns[name]]) if name in columns else _nothing(frame) for name in VALUES}
    money = {name: 1.0 if columns.get(name, "").endswith("_cents") else _CENTS for name in _MONEY}
    product = frame[columns["series_id"]].cast(pl.String)
    return pl.DataFrame(
        {
            "row": pl.int_range(1, frame.height + 1, eager=True),
            "product_id": canonical_ids(product),
            "month": _month(frame[columns["period"]]),
            "price_cents": (read["price"] * money["price"]).round(),
            "promotion": read["promotion"],
            "advertising_cents": (read["advertising"] * money["advertising"]).round(),
            "unreadable": pl.select(
                pl.any_horizontal(~values.is_finite() for values in read.values())
            ).to_series(),
        }
    )


def _number(column: pl.Series) -> pl.Series:
    """Numbers, yes and no as 1 and 0, null where the cell is empty and infinity where it holds something else."""
    if column.dtype == pl.String:
        column = column.str.strip_chars().str.to_lowercase().replace("", None).replace(ANSWERS)
    read = column.cast(pl.Float64, strict=False)
    empty = column.is_null() | (column.is_nan() if column.dtype.is_float() else pl.Series([False]))
    return pl.select(pl.when(~empty).then(read.fill_null(np.inf).fill_nan(np.inf))).to_series()


def _nothing(frame: pl.DataFrame) -> pl.Series:
    return pl.Series([None], dtype=pl.Float64).new_from_index(0, frame.height)


def _month(column: pl.Series) -> pl.Series:
    """First days of months, null where a text is no date."""
    if column.dtype != pl.String:
        return dates(column).dt.month_start()
    read = [
        (column.str.strip_chars() + missing).str.to_datetime(form, strict=False, time_unit="us").dt.date()
        for form, missing in DATE_FORMS.items()
    ]
    return pl.select(pl.coalesce(read)).to_series().dt.month_start()


def _judged(rows: pl.DataFrame, shop: _Shop, *, past: bool) -> pl.DataFrame:
    """The rows in the types of the table with the reason for which one cannot be taken, null where it can."""
    month, farthest = pl.col("month"), pl.lit(shop.next_month).dt.offset_by(f"{MOST_MONTHS_AHEAD}mo")
    wrong = {
        "no_product": pl.col("product_id").is_null(),
        "no_month": month.is_null(),
        "not_a_number": pl.col("unreadable"),
        "impossible_price": ~pl.col("price_cents").is_between(1, MAX_PRICE_CENTS),
        "impossible_promotion": ~pl.col("promotion").is_between(0, 1),
        "impossible_advertising": ~pl.col("advertising_cents").is_between(0, MAX_PRICE_CENTS),
        "nothing_planned": pl.all_horizontal(pl.col(name).is_null() for name in _STORED),
        "unknown_product": ~pl.col("product_id").is_in(shop.products.implode()),
        "before_the_first_month": month < shop.first_month,
        "month_over": (month < shop.next_month) & (not past),
        "too_far_ahead": month > farthest,
    }
    reason = pl.coalesce(
        pl.when(which.fill_null(value=False)).then(pl.lit(name)) for name, which in wrong.items()
    )
    judged = rows.with_columns(reason.alias("reason"))
    usable = pl.col("reason").is_null()
    copies = pl.struct(*_KEY, *_STORED).cum_count().over(*_KEY, *_STORED, usable) > 1
    rivals = pl.struct(*_STORED).n_unique().over(*_KEY, usable) > 1
    again = (
        pl.when(usable & rivals)
        .then(pl.lit("conflicting_row"))
        .when(usable & copies)
        .then(pl.lit("duplicate_row"))
    )
    kinds = [pl.when(usable).then(pl.col(name)).cast(PLAN_SCHEMA[name]).alias(name) for name in _STORED]
    return judged.with_columns(pl.coalesce("reason", again), *kinds)


def _merged(before: pl.DataFrame, changed: pl.DataFrame, source: str, now: datetime) -> pl.DataFrame:
    new = changed.with_columns(source=pl.lit(source), imported_at=pl.lit(now)).cast(pl.Schema(PLAN_SCHEMA))
    kept = before.join(changed, on=_KEY, how="anti")
    return pl.concat([kept, new.select(list(PLAN_SCHEMA))]).sort(_KEY)


def _examples(refused: pl.DataFrame) -> list[dict[str, Any]]:
    named = pl.col("month").dt.strftime("%Y-%m")
    return refused.sort("row").head(MOST_EXAMPLES).select("row", "reason", "product_id", named).to_dicts()
