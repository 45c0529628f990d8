"""Rows divided into buckets that are read one by one: one file for all buckets, and an index.

Rows come in portions, each of which is divided by itself, so what is held at a time does not grow with the rows.

A file a bucket would be as many files as groups of events times buckets, 140,000 for 300 million events: listing them
takes as much memory as summing up, and making and opening them more time.
"""

import json
from collections.abc import Iterable, Iterator
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

ROWS_DIVIDED: Final = 200_000
"""At least so many rows are divided at a time where they are few a portion: each piece has a cost of its own."""

ROWS_ENCODED: Final = 50_000
"""About so many rows are put in order and encoded at a time, since putting them in order copies them."""

_ROWS, _INDEX = "rows", "index.json"


@dataclass(frozen=True)
class Pieces:
    """Rows of some files of events by bucket.

    Attributes:
        folder: Where they are.
        newest: The latest `occurred_at`, None without rows.
        rows: How many rows each bucket has, shape (buckets,).
        ends: Where in the file each bucket of each portion ends, shape (portions, buckets).
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

    def read(self, bucket: int) -> Iterator[pl.DataFrame]:
        """The rows of a bucket, portion by portion, in no order."""
        if not self.rows[bucket]:
            return
        ends = self.ends.ravel()
        with (self.folder / _ROWS).open("rb") as file:
            for place in range(bucket, ends.size, self.rows.size):
                start = int(ends[place - 1]) if place else 0
                if size := int(ends[place]) - start:
                    file.seek(start)
                    yield pl.read_ipc_stream(BytesIO(file.read(size)))


def write_pieces(portions: Iterable[pl.DataFrame], bucket: pl.Expr, buckets: int, folder: Path) -> None:
    """Write rows with `occurred_at` into a new folder, each to the bucket (0 to `buckets` - 1) it has."""
    folder.mkdir()
    ends: list[list[int]] = []
    counts = np.zeros(buckets, np.int64)
    newest: list[datetime] = []
    with (folder / _ROWS).open("wb") as file:
        for rows in gathered(portions, ROWS_DIVIDED):
            of_row = rows.select(bucket).to_series()
            here = np.bincount(of_row.to_numpy(), minlength=buckets)
            ends.append([])
            for piece in _encoded(rows, of_row.arg_sort(), here):
                file.write(piece)
                ends[-1].append(file.tell())
            counts += here
            if isinstance(last := rows["occurred_at"].max(), datetime):
                newest.append(last)
    told = {"newest": max(newest).isoformat() if newest else None, "rows": counts.tolist(), "ends": ends}
    (folder / _INDEX).write_text(json.dumps(told))


def gathered(portions: Iterable[pl.DataFrame], least: int) -> Iterator[pl.DataFrame]:
    """The same rows in portions of at least so many, but for the last."""
    some: list[pl.DataFrame] = []
    for rows in portions:
        some.append(rows)
        if sum(each.height for each in some) >= least:
            yield pl.concat(some)
            some = []
    if some:
        yield pl.concat(some)


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
