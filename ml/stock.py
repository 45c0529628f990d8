"""Days without stock, by product and month: a table of the lake that a shop may fill."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.censoring import CENSORED_SHARE, censored, with_latent_demand
from ml.columns import STOCK_SCHEMA
from ml.errors import BadEvents
from ml.event_files import read_file
from ml.events import canonical_product_id
from ml.history import History
from ml.lake import Lake
from ml.snapshot import NO_STOCK_DATA

TABLE: Final = "stock"
_KEY: Final = ("product_id", "month")


@dataclass(frozen=True)
class StockReport:
    """Rows of the file, of the table afterwards, and rows of the table that are new or changed."""

    rows: int
    known: int
    changed: int

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


def import_stock(path: Path, lake: Lake) -> StockReport:
    """Take `product_id, month, days_out` from a Parquet or CSV file into the lake; a later row replaces an older one.

    Raises:
        BadEvents: The file cannot be read, a column is missing, a product or month is empty or unreadable, comes
            twice, or has fewer than 0 or more days out than the month has.
        StoreUnavailable: The lake cannot be written; its rows are what they were.
    """
    rows = _rows(read_file(path), path.name)
    with lake.lock():
        before = lake.read(TABLE).collect()
        merged = pl.concat([rows, before]).unique(_KEY, keep="first", maintain_order=True).sort(_KEY)
        changed = merged.join(before, on=list(STOCK_SCHEMA), how="anti").height
        if changed:
            lake.overwrite(TABLE, merged)
    return StockReport(rows.height, merged.height, changed)


def out_of_stock(lake: Lake, history: History) -> NDArray[np.float64]:
    """(n, T) share of each month's days without stock; 0 where the table has no row."""
    share = np.zeros((history.n, history.T))
    rows = lake.read(TABLE).collect()
    position = {product: row for row, product in enumerate(history.product_ids)}
    months = rows["month"].to_numpy().astype("datetime64[M]")
    column = (months - history.months[0]).astype(np.int64)
    days = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    for product, t, part in zip(rows["product_id"], column, rows["days_out"].to_numpy() / days, strict=True):
        if 0 <= t < history.T and product in position:
            share[position[product], t] = part
    return share


def demand_history(lake: Lake, sold: History) -> History:
    """The history with latent demand in months that the stock table shows to be censored, else as it is."""
    return with_latent_demand(sold, out_of_stock(lake, sold)) if lake.exists(TABLE) else sold


def stock_note(lake: Lake, history: History) -> dict[str, Any]:
    """What a snapshot says of stock: `no stock data`, or the months of each product whose demand is an estimate."""
    if not lake.exists(TABLE):
        return {"stock_data": NO_STOCK_DATA}
    estimated = censored(history, out_of_stock(lake, history))
    months = [str(month) for month in history.months]
    products = {
        history.product_ids[i]: [months[t] for t in np.flatnonzero(estimated[i])]
        for i in np.flatnonzero(estimated.any(axis=1))
    }
    return {"stock_data": "days out of stock", "censored_above": CENSORED_SHARE, "censored_months": products}


def _rows(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    if missing := [column for column in STOCK_SCHEMA if column not in frame.columns]:
        raise BadEvents("unknown-columns", f"{name!r} has columns {frame.columns}, but not {missing}")
    ids = [canonical_product_id(str(value or "")) or None for value in frame["product_id"]]
    rows = pl.DataFrame(
        {
            "product_id": pl.Series(ids, dtype=pl.String),
            "month": _months(frame["month"]),
            "days_out": frame["days_out"].cast(pl.Float64, strict=False),
        }
    )
    length = pl.col("month").dt.month_end().dt.day()
    fits = pl.col("days_out").is_between(0, length) & pl.col("product_id").is_not_null()
    wrong = (
        rows.select((~fits.fill_null(value=False)).alias("wrong"))["wrong"]
        | rows.select(_KEY).is_duplicated()
    )
    if wrong.any():
        at = wrong.arg_max() or 0
        raise BadEvents(
            "stock-row",
            f"row {at + 1:,} of {name!r} is {frame.row(at)}: a product and a month (2026-10) come once,"
            " with 0 to as many days_out as the month has",
        )
    return rows


def _months(column: pl.Series) -> pl.Series:
    """First days of months; null where nothing can be read."""
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Date).dt.month_start()
    text = column.cast(pl.String).str.strip_chars()
    day, month = (
        text.str.to_date("%Y-%m-%d", strict=False),
        (text + "-01").str.to_date("%Y-%m-%d", strict=False),
    )
    return day.zip_with(day.is_not_null(), month).dt.month_start()
