"""A feature frame by batch: one number per batch for each thing of a column that can drift.

A whole batch is one observation of each: its rows rise and fall together, so counting them as independent would
find drift in every batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Every = Literal["day", "week", "month"]
Kind = Literal["location", "spread", "missing", "new category", "category share"]

WEIGHTS: Final[dict[Kind, float]] = {
    "location": 0.6,
    "spread": 0.2,
    "missing": 0.2,
    "new category": 0.2,
    "category share": 0.6,
}
"""How a column's chance of a false alarm is shared among the kinds that it has."""

FLOORS: Final[dict[Kind, float]] = {
    "location": 0.2,
    "spread": 0.2,
    "missing": 0.025,
    "new category": 0.025,
    "category share": 0.05,
}
"""A smaller effect is no drift, however sure: standard deviations of a row, logs of their ratio, and shares."""

CLIPPED_SHARE: Final = 0.005
"""Of the reference's rows at each end of a column are taken as the value at its edge: no single row decides."""

LARGEST_CATEGORIES: Final = 8
NEW_FOR: Final = 4
"""Batches for which a category counts as new."""

FEWEST_ROWS: Final = 10
ENGINE: Final = "in-memory"
"""With one thread the streaming engine of Polars 2.1 was seen to wait for itself for ever."""


@dataclass(frozen=True, eq=False)
class Statistic:
    """One number per batch.

    Attributes:
        column: Of the frame.
        kind: What of it.
        label: The category that it is about, else empty.
        values: (T,) one per batch; NaN where a batch has no such number.
        noise: (T,) variance that the number has from the batch's own rows, were they independent.
    """

    column: str
    kind: Kind
    label: str
    values: Floats
    noise: Floats


@dataclass(frozen=True, eq=False)
class Batches:
    """A frame by batch.

    Attributes:
        starts: (T,) first day of each batch, `datetime64[D]`, oldest first.
        every: How long a batch is.
        rows: (T,) how many rows each has.
        statistics: One per column and thing that can drift.
    """

    starts: Dates
    every: Every
    rows: Floats
    statistics: tuple[Statistic, ...]

    @property
    def ends(self) -> Dates:
        """(T,) the day after the last of each batch."""
        if self.every == "month":
            return (self.starts.astype("datetime64[M]") + 1).astype("datetime64[D]")
        return self.starts + np.timedelta64(7 if self.every == "week" else 1, "D")


def batches(frame: pl.DataFrame, *, batch: str, every: Every) -> Batches:
    """Statistics of each batch of a feature frame.

    Args:
        frame: Rows in any order. Numbers and truth values are numeric columns, texts are categories; NaN and null
            are missing.
        batch: Column with the first day of the batch of each row, `Date`.
        every: How far these days are apart.
    """
    groups = frame.group_by(batch).len().sort(batch)
    starts = groups[batch].to_numpy().astype("datetime64[D]")
    rows = groups["len"].to_numpy().astype(np.float64)
    made: list[Statistic] = []
    numeric = [name for name in frame.columns if name != batch and _is_number(frame[name].dtype)]
    made += _numeric(frame, batch, numeric, rows)
    for name in frame.columns:
        if name != batch and name not in numeric:
            made += _categorical(frame, batch, name, rows)
    return Batches(starts, every, rows, tuple(made))


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric() or kind == pl.Boolean()


def _numeric(frame: pl.DataFrame, batch: str, names: Sequence[str], rows: Floats) -> Iterator[Statistic]:
    """Location in standard deviations of a row, spread as a log, share of missing rows."""
    if not names:
        return
    newest = frame[batch].max()
    limits = (
        frame.lazy()
        .filter(pl.col(batch) < newest)
        .select(
            expression
            for name in names
            for expression in (
                _number(frame, name).quantile(CLIPPED_SHARE).alias(f"{name}\0low"),
                _number(frame, name).quantile(1 - CLIPPED_SHARE).alias(f"{name}\0high"),
            )
        )
        .collect(engine=ENGINE)
        .row(0, named=True)
    )
    table = (
        frame.lazy()
        .group_by(batch)
        .agg(
            expression
            for name in names
            for clipped in (_number(frame, name).clip(limits[f"{name}\0low"], limits[f"{name}\0high"]),)
            for expression in (
                clipped.mean().alias(f"{name}\0mean"),
                clipped.std().alias(f"{name}\0std"),
                clipped.null_count().alias(f"{name}\0missing"),
            )
        )
        .sort(batch)
        .collect(engine=ENGINE)
    )
    for name in names:
        mean, std = (table[f"{name}\0{part}"].cast(pl.Float64).to_numpy() for part in ("mean", "std"))
        missing = table[f"{name}\0missing"].to_numpy() / rows
        yield from _of_number(name, mean, std, missing, rows)


def _of_number(name: str, mean: Floats, std: Floats, missing: Floats, rows: Floats) -> Iterator[Statistic]:
    known = np.maximum(rows * (1 - missing), 1.0)
    usual = float(np.sqrt(np.nanmean(std**2))) if np.isfinite(std).any() else 0.0
    if usual > 0:
        few = known < FEWEST_ROWS
        location = np.where(few, np.nan, mean / usual)
        yield Statistic(name, "location", "", location, (std / usual) ** 2 / known)
        with np.errstate(divide="ignore"):
            spread = np.where(few | ~(std > 0), np.nan, np.log(std))
        yield Statistic(name, "spread", "", spread, 0.5 / known)
    yield _share(name, "missing", "", missing, rows)


def _share(name: str, kind: Kind, label: str, share: Floats, rows: Floats) -> Statistic:
    """A share of rows; half a row of each answer is added to what its noise is taken from."""
    usual = (np.nansum(share * rows) + 0.5) / (rows.sum() + 1)
    return Statistic(name, kind, label, share, usual * (1 - usual) / rows)


def _number(frame: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    return column.fill_nan(None) if frame[name].dtype.is_float() else column.cast(pl.Float64)


def _categorical(frame: pl.DataFrame, batch: str, name: str, rows: Floats) -> Iterator[Statistic]:
    """Share of missing rows, of rows in categories that are new, and of each of the largest categories."""
    counts = frame.group_by(batch, name).len().sort(batch, name)
    place = counts[batch].rank("dense").to_numpy().astype(np.intp) - 1
    labels = counts[name].cast(pl.String).to_list()
    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    table = np.zeros((len(codes), len(rows)))
    np.add.at(table, (np.array([codes[label] for label in labels], np.intp), place), counts["len"].to_numpy())
    missing = table[codes[None]] if None in codes else np.zeros(len(rows))
    yield _share(name, "missing", "", missing / rows, rows)
    known = [label for label in codes if label is not None]
    if not known:
        return
    table = table[[codes[label] for label in known]]
    present = np.maximum(rows - missing, 1.0)
    first = np.argmax(table > 0, axis=1)
    age = np.arange(len(rows)) - first[:, np.newaxis]
    fresh = np.where((age >= 0) & (age < NEW_FOR), table, 0.0).sum(axis=0) / present
    fresh[: len(rows) // 2] = np.nan
    yield _share(name, "new category", "", fresh, rows)
    for code in np.argsort(-table[:, :-1].sum(axis=1), kind="stable")[:LARGEST_CATEGORIES].tolist():
        yield _share(name, "category share", str(known[code]), table[code] / present, rows)
