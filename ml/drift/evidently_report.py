"""Evidently's picture of what drift was looked for in: for people, it decides nothing."""

import resource
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl

from ml.drift.judging import input_frame
from ml.errors import PictureNotDrawn
from ml.history import History

REPORT_MONTHS: Final = 6
MOST_ROWS: Final = 50_000
"""Of the newest month, and of the months before it; more are drawn from at random."""

MOST_SECONDS: Final = 600.0
MOST_BYTES: Final = 1 << 30
"""Of data that the process which draws may hold; a workflow's pod has twice as much."""

_BEFORE, _NEWEST, _PICTURE = "before.parquet", "newest.parquet", "picture.html"


def picture(history: History, *, most_seconds: float = MOST_SECONDS, most_bytes: int = MOST_BYTES) -> bytes:
    """Evidently's picture of every input, the newest month against the six before it, as one HTML file.

    It only shows; its tests know no seasons and do not count how many they are, so they decide nothing. It is drawn by
    a process of its own, so what goes wrong there ends nothing here.

    Args:
        history: Whose inputs are drawn.
        most_seconds: It is given up after so many.
        most_bytes: Of memory for the process that draws.

    Raises:
        PictureNotDrawn: Too slow, too large, or Evidently failed.
    """
    frame = input_frame(history)
    last = pl.col("month") == history.months[-1].astype("datetime64[D]").item()
    first = history.months[max(0, history.T - 1 - REPORT_MONTHS)].astype("datetime64[D]").item()
    parts = {_BEFORE: frame.filter(~last & (pl.col("month") >= first)), _NEWEST: frame.filter(last)}
    shown = [
        name
        for name in frame.columns
        if name != "month" and all(_varies(part[name]) for part in parts.values())
    ]
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            for file, part in parts.items():
                rows = part.select(shown)
                rows.sample(min(rows.height, MOST_ROWS), seed=1).write_parquet(folder / file)
            command = [sys.executable, "-m", __name__, str(folder), str(most_bytes)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=most_seconds, check=False)
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["no word"])[-1]
                raise PictureNotDrawn(f"drawing ended with {done.returncode}: {why}")
            return (folder / _PICTURE).read_bytes()
    except subprocess.TimeoutExpired as error:
        raise PictureNotDrawn(f"drawing took longer than {most_seconds:g} s") from error
    except OSError as error:
        raise PictureNotDrawn(f"drawing needs a file of its own: {error.strerror}") from error


def main(folder: str, most_bytes: str) -> int:
    """Draw what lies in the folder."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(most_bytes), int(most_bytes)))
    with warnings.catch_warnings():  # Evidently and what it loads warn about their own use of each other
        warnings.simplefilter("ignore")
        from evidently import Report  # noqa: PLC0415 - takes seconds to load
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        newest, before = (pl.read_parquet(Path(folder, file)).to_pandas() for file in (_NEWEST, _BEFORE))
        Report([DataDriftPreset()]).run(newest, before).save_html(str(Path(folder, _PICTURE)))
    return 0


def _varies(column: pl.Series) -> bool:
    """Whether it has at least two values; Evidently cannot draw others."""
    return (
        column.drop_nulls().drop_nans().n_unique() > 1 if column.dtype.is_float() else column.n_unique() > 1
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
