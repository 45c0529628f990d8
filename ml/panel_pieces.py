"""Rows divided into buckets that are read one by one: one file for all buckets, and an index.

A file a bucket would be as many files as groups of events times buckets, 140,000 for 300 million events: listing them
takes as much memory as summing up, and making and opening them more time.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROWS_ENCODED: Final = 50_000
"""About so many rows are put in order and encoded at a time, since putting them in order copies them."""

_ROWS, _INDEX = "rows", "index.json"


@dataclass(frozen=True)
class Pieces:
    """Rows of some files of events by bucket.

    Attributes:
        folder: Where they are.
        newest: The latest `occurred_at`, None without rows.
        rows: How many rows each bucket has.
        ends: Where in the file each bucket ends.
    """

    folder: Path
    newest: datetime | None
    rows: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What `write_pieces` left there."""
        told = json.loads((folder / _INDEX).read_text())
        newest = told["newest"] and datetime.fromisoformat(told["newest"])
        return cls(folder, newest, np.array(told["rows"], np.int64), np.array(told["ends"], np.int64))

    def read(self, bucket: int) -> pl.DataFrame:
        """The rows of a bucket that has some, in no order."""
        start = int(self.ends[bucket - 1]) if bucket else 0
        with (self.folder / _ROWS).open("rb") as file:
            file.seek(start)
            return pl.read_ipc_stream(BytesIO(file.read(int(self.ends[bucket]) - start)))


def write_pieces(rows: pl.DataFrame, bucket: pl.Expr, buckets: int, folder: Path) -> None:
    """Write rows with `occurred_at` into a new folder, each to the bucket (0 to `buckets` - 1) it has."""
    of_row = rows.select(bucket).to_series()
    order, counts = of_row.arg_sort(), np.bincount(of_row.to_numpy(), minlength=buckets)
    newest = rows["occurred_at"].max()
    folder.mkdir()
    ends = []
    with (folder / _ROWS).open("wb") as file:
        for piece in _encoded(rows, order, counts):
            file.write(piece)
            ends.append(file.tell())
    told = {
        "newest": newest.isoformat() if isinstance(newest, datetime) else None,
        "rows": counts.tolist(),
        "ends": ends,
    }
    (folder / _INDEX).write_text(json.dumps(told))


def _encoded(rows: pl.DataFrame, order: pl.Series, counts: NDArray[np.int64]) -> Iterator[memoryview]:
    """Each bucket's rows as an Arrow stream, empty without rows."""
    ends = [0, *accumulate(counts.tolist())]
    with ThreadPoolExecutor() as pool:
        for run in _runs(ends):
            start = ends[run[0]]
            some = rows[order[start : ends[run[-1] + 1]]]
            yield from pool.map(
                lambda each, some=some, start=start: _stream(some[each[0] - start : each[1] - start]),
                pairwise(ends[run[0] : run[-1] + 2]),
            )


def _runs(ends: list[int]) -> Iterator[range]:
    """Buckets in a row that have about `ROWS_ENCODED` rows together."""
    first = 0
    for bucket in range(len(ends) - 1):
        if ends[bucket + 1] - ends[first] >= ROWS_ENCODED or bucket == len(ends) - 2:
            yield range(first, bucket + 1)
            first = bucket + 1


def _stream(rows: pl.DataFrame) -> memoryview:
    encoded = BytesIO()
    if rows.height:
        rows.write_ipc_stream(encoded, compression="lz4")
    return encoded.getbuffer()
