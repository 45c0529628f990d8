"""A panel in a file, of any step and any numbers, as a `History`; what was changed on the way is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from ml.errors import BadPanel
from ml.event_files import read_file
from ml.events import UNKNOWN_CATEGORY
from ml.history import EXTRA, History
from ml.periods import Periods, periods

Floats = NDArray[np.float64]

NEEDED: Final = ("series_id", "period", "quantity")
MOST_CELLS: Final = 20_000_000
"""Series times periods that fit into memory with their features."""

DATE_FORMS: Final = {
    **dict.fromkeys(("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d", "%Y%m%d"), ""),
    "%Y-%m-%d#": "-01#",
}
"""How periods are written as text, and what a text of that form lacks; the last is a month such as 2026-10."""

_CENTS: Final = 100.0


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel that models can read.

    Attributes:
        history: Series with at least one sale, sorted by id; unknown before the first sale and after the last
            row of a series, 0 in a period between them that has no row.
        labels: (T,) `pl.Date`, each period as the file writes it.
        counts: Rows and series that were left out or changed, by reason.
    """

    history: History
    labels: pl.Series
    counts: Mapping[str, int]


def read_panel(path: Path, season: int | None = None) -> Panel:
    """Read a Parquet or CSV file with `series_id, period, quantity` and perhaps `category, price`.

    Rows of one series and period are added up. A negative sum counts as 0, as does a missing quantity; both
    are counted. Columns named as in `ml.history.EXTRA` are used, all others are not.

    Args:
        path: The file; periods are dates, times (of which the date counts) or text such as 2026-10-01.
        season: Periods after which demand repeats itself; None for a year, or a week of days.

    Raises:
        BadEvents: The file cannot be read or has no rows.
        BadPanel: A column is missing, a value is no date or number, nothing was sold, or the panel is larger
            than `MOST_CELLS`.
    """
    frame = read_file(path)
    if missing := [name for name in NEEDED if name not in frame.columns]:
        raise BadPanel("missing-columns", f"{str(path)!r} has columns {frame.columns}, but not {missing}")
    rows = frame.select(
        pl.col("series_id").cast(pl.String),
        dates(frame["period"]),
        numbers(frame["quantity"]),
        _categories(frame),
        *(numbers(frame[name]) for name in ("price", *EXTRA) if name in frame.columns),
    )
    named = rows.drop_nulls(["series_id", "period"])
    summed = _summed(named)
    counts = {
        "rows": rows.height,
        "rows_without_series_or_period": rows.height - named.height,
        "rows_of_the_same_series_and_period": named.height - summed.height,
        "missing_quantities": named["quantity"].null_count(),
        "negative_quantities": int((summed["quantity"] < 0).sum()),
    }
    if not (summed["quantity"] > 0).any():
        raise BadPanel(
            "nothing-sold", f"no quantity in {str(path)!r} is above 0, so there is nothing to forecast"
        )
    return _panel(summed, season, counts)


def panel_of_history(history: History, counts: Mapping[str, int]) -> Panel:
    """A panel that was never in a file; its periods are written as their first days."""
    return Panel(history, pl.Series("period", history.months.astype("datetime64[D]")).cast(pl.Date), counts)


def _panel(rows: pl.DataFrame, season: int | None, counts: Mapping[str, int]) -> Panel:
    found = periods(rows["period"].to_numpy().astype("datetime64[D]"))
    series = rows.select("series_id", pl.col("category")).group_by("series_id", maintain_order=True).first()
    shape = (series.height, len(found.starts))
    if shape[0] * shape[1] > MOST_CELLS:
        raise BadPanel(
            "too-large",
            f"{shape[0]:,} series of {shape[1]:,} periods of {found.step} {found.unit} are more than"
            f" {MOST_CELLS:,} cells; add periods up to longer ones, or send fewer series",
        )
    at = rows["series_id"].rle_id().to_numpy(), found.columns
    units = _units(_dense(rows["quantity"], shape, at, np.nan))
    sold = ~np.isnan(units).all(axis=1)
    history = History(
        product_ids=tuple(series["series_id"].filter(pl.Series(sold))),
        categories=tuple(series["category"].filter(pl.Series(sold))),
        months=found.starts,
        units=units[sold],
        price_cents=_prices(rows, shape, at)[sold],
        extra={name: _dense(rows[name], shape, at, 0.0)[sold] for name in EXTRA if name in rows.columns},
        season=season or found.usual_season,
        step=found.step,
    )
    ended = int(np.isnan(history.units[:, -1]).sum())
    counts = {**counts, "series_without_sales": int((~sold).sum()), "series_that_ended": ended}
    return Panel(history, _labels(rows["period"], found), counts)


def _summed(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per series and period, sorted; the mean of prices above 0, the first known category."""
    price = pl.col("price").filter(pl.col("price") > 0).mean()
    others = [pl.col(name).sum() for name in EXTRA if name in rows.columns]
    known = rows.filter(pl.col("category").is_not_null())
    categories = (
        known.sort("period").group_by("series_id", maintain_order=True).agg(pl.col("category").first())
    )
    return (
        rows.group_by("series_id", "period")
        .agg(pl.col("quantity").sum(), *([price] if "price" in rows.columns else []), *others)
        .join(categories, on="series_id", how="left")
        .with_columns(pl.col("category").fill_null(UNKNOWN_CATEGORY))
        .sort("series_id", "period")
    )


def _units(dense: Floats) -> Floats:
    """Quantities as units: never negative, known from the first sale to the last row, 0 in between."""
    columns = np.arange(dense.shape[1])
    sold, written = dense > 0, ~np.isnan(dense)
    first = np.where(sold.any(axis=1), np.argmax(sold, axis=1), dense.shape[1])
    last = dense.shape[1] - 1 - np.argmax(written[:, ::-1], axis=1)
    inside = (columns >= first[:, np.newaxis]) & (columns <= last[:, np.newaxis])
    return np.where(inside, np.maximum(np.nan_to_num(dense), 0.0), np.nan)


def _prices(
    rows: pl.DataFrame, shape: tuple[int, int], at: tuple[NDArray[np.uint32], NDArray[np.int64]]
) -> Floats:
    if "price" not in rows.columns:
        return np.full(shape, np.nan)
    return _CENTS * _dense(rows["price"], shape, at, np.nan)


def _dense(
    values: pl.Series, shape: tuple[int, int], at: tuple[NDArray[np.uint32], NDArray[np.int64]], empty: float
) -> Floats:
    dense = np.full(shape, empty)
    dense[at] = values.fill_null(empty).to_numpy()
    return dense


def _labels(dates: pl.Series, found: Periods) -> pl.Series:
    """Each period by its date in the file; one that no row has by its first day."""
    labels = found.starts.astype("datetime64[D]")
    labels[found.columns] = dates.to_numpy().astype("datetime64[D]")
    return pl.Series("period", labels).cast(pl.Date)


def _categories(frame: pl.DataFrame) -> pl.Expr:
    known = pl.col("category").cast(pl.String) if "category" in frame.columns else pl.lit(None, pl.String)
    return known.alias("category")


def dates(column: pl.Series) -> pl.Series:
    """The column as dates; null stays null."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.date()
    if column.dtype == pl.Date:
        return column
    if column.dtype == pl.String:
        for form, missing in DATE_FORMS.items():
            text = column.str.strip_chars() + missing
            read = text.str.to_datetime(form, strict=False, time_unit="us").dt.date()
            if read.null_count() == column.null_count():
                return read
    known = column.drop_nulls()
    sample = known[0] if len(known) else None
    raise BadPanel(
        "unreadable-period",
        f"period is {column.dtype}, for example {sample!r}, and not dates such as 2026-10-01",
    )


def numbers(column: pl.Series) -> pl.Series:
    """The column as finite numbers; null and NaN are null."""
    try:
        read = column.cast(pl.Float64, strict=False).fill_nan(None)
    except PolarsError as error:
        raise BadPanel("unreadable-number", f"{column.name} is {column.dtype}, and not a number") from error
    lost = column.is_not_null() & read.is_null()
    if column.dtype.is_float():
        lost = lost & column.is_not_nan()
    if lost.any() or read.is_infinite().any():
        wrong = column.filter(lost | read.is_infinite().fill_null(value=False))[0]
        raise BadPanel(
            "unreadable-number", f"{column.name} {wrong!r} is no finite number; correct it or leave it empty"
        )
    return read
