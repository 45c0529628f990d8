"""Evidently's picture of what drift was looked for in: for people, it decides nothing."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from ml.drift.judging import input_frame
from ml.errors import StoreUnavailable
from ml.history import History

REPORT_MONTHS: Final = 6


def write_report(history: History, path: Path) -> None:
    """Evidently's picture of every input, the newest month against the six before it, as one HTML file.

    It only shows; its tests know no seasons and do not count how many they are, so they decide nothing.

    Raises:
        StoreUnavailable: The file cannot be written.
    """
    try:
        path.touch()
    except OSError as error:
        raise StoreUnavailable(f"cannot write the report to {path}: {error.strerror}") from error
    frame = input_frame(history)
    last = pl.col("month") == history.months[-1].astype("datetime64[D]").item()
    first = history.months[max(0, history.T - 1 - REPORT_MONTHS)].astype("datetime64[D]").item()
    before, newest = frame.filter(~last & (pl.col("month") >= first)), frame.filter(last)
    shown = [
        name for name in frame.columns if name != "month" and _varies(before[name]) and _varies(newest[name])
    ]
    with _quiet():
        from evidently import Report  # noqa: PLC0415 - takes seconds to load
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        frames = (part.select(shown).to_pandas() for part in (newest, before))
        Report([DataDriftPreset()]).run(*frames).save_html(str(path))


def _varies(column: pl.Series) -> bool:
    """Whether it has at least two values; Evidently cannot draw others."""
    return (
        column.drop_nulls().drop_nans().n_unique() > 1 if column.dtype.is_float() else column.n_unique() > 1
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Evidently and what it loads warn about their own use of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
