"""The panel part by part: each file of events is split once by product, each product bucket is summed up alone.

What a panel says of a product depends on that product's events only, so buckets of products can be summed up two
at a time in little memory, or in many processes. What is kept is named by what it was made of: only what
is split with a new file of events (files of a Delta table never change) is split again, and only buckets with rows in
it are made again. Anything else that decides (zone, trusted events, number of buckets, release) is part of the name.
"""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from threading import Condition
from typing import Final

import numpy as np
import polars as pl

from ml.columns import EVENT_SCHEMA, Schema
from ml.errors import PartsMissing
from ml.months import shop_month
from ml.outliers import learned_from, set_aside
from ml.panel_files import together
from ml.panel_frame import (
    CONDENSED_SCHEMA,
    condensed,
    panel_of_condensed,
    products_without_row,
    recondensed,
    uncounted,
)
from ml.panel_pieces import Pieces, write_pieces

PARTS: Final = ".panel"
"""Folder beside the lake's tables. It holds copies of events until the next panel: an erasure removes it."""

FORMAT: Final = 2
"""Raised when a part of the same name would have other content."""

EVENTS_IN_BUCKET: Final = 400_000
FEW_EVENTS, FEW_BUCKETS = 250_000, 64
"""Few events of many products condense little; so up to so many buckets hold fewer events each."""

AT_ONCE: Final = 2
"""Buckets are small, so one alone leaves cores idle between its queries; each further one needs its memory."""

PORTION: Final = 500_000
"""Events that are divided at a time; memory grows with it."""

ROWS_AT_ONCE, REPEATED_ROWS_AT_ONCE = 230_000, 900_000
"""Buckets that have more rows together are summed up one after the other: a product is never divided, so the more
buckets there are, the further the largest is above the others."""

_SEED: Final = 7
_WITHOUT: Final[Schema] = {"reason": pl.String(), "products": pl.Int64()}


def buckets_for(events: int) -> int:
    """Rounded up to three binary digits: a growing lake seldom has all its parts made anew, and none grows large."""
    few = min(FEW_BUCKETS, math.ceil(events / FEW_EVENTS))
    needed = max(1, few, math.ceil(events / EVENTS_IN_BUCKET))
    step = 1 << max(0, needed.bit_length() - 3)
    return math.ceil(needed / step) * step


@dataclass(frozen=True)
class Shard:
    """Share `index` (from 1) of `of` equal shares of the work."""

    index: int = 1
    of: int = 1

    def share(self, items: int) -> range:
        """Places of its items in a list that is the same in all shards."""
        return range(self.index - 1, items, self.of)


WHOLE: Final = Shard()


class Room:
    """Room for so many rows that several threads share; more than all of it is given to one thread alone."""

    def __init__(self, rows: int) -> None:
        self._rows, self._taken, self._changed = rows, 0, Condition()

    @contextmanager
    def taken(self, rows: int) -> Iterator[None]:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + rows <= self._rows)
            self._taken += rows
        try:
            yield
        finally:
            with self._changed:
                self._taken -= rows
                self._changed.notify_all()


@dataclass(frozen=True)
class Made:
    """A panel that is summed up.

    Attributes:
        panel: `PANEL_SCHEMA`, in no order.
        aside: `SET_ASIDE_SCHEMA`, in no order.
        without: How many products have no row, by reason.
    """

    panel: pl.LazyFrame
    aside: pl.LazyFrame
    without: Mapping[str, int]


@dataclass(frozen=True)
class PanelParts:
    """The parts of one panel, in a folder that other processes may work on too.

    Attributes:
        folder: Where parts are kept; what is in it can be made again from the events.
        files: Parquet files of events in `EVENT_SCHEMA` by name; a name always stands for the same rows.
        buckets: Into how many parts products are divided.
        zone: The shop's zone.
        trusted: Ids of events that are demand, whatever they look like.
        repeats: Whether an id may come more than once, then always with the same content.
    """

    folder: Path
    files: Mapping[str, Path]
    buckets: int
    zone: str
    trusted: tuple[str, ...] = ()
    repeats: bool = False

    def split(self, shard: Shard = WHOLE) -> int:
        """Divide files that were not divided yet by product, large ones `together`; how many divisions that were."""
        mine = [self._together[place] for place in shard.share(len(self._together))]
        todo = [names for names in mine if not self._split(names).exists()]
        for names in todo:
            with whole(self._split(names)) as folder:
                bucket = pl.col("product_id").hash(_SEED) % self.buckets
                write_pieces(self._rows(names), bucket, self.buckets, folder)
        return len(todo)

    def newest(self) -> datetime | None:
        """The latest moment of an event, None without events; all files must be split."""
        return max((pieces.newest for pieces in self._pieces if pieces.newest), default=None)

    def make(self, last_month: date, shard: Shard = WHOLE) -> int:
        """Sum up buckets that are not up to date, for a panel up to `last_month`; how many there were.

        Raises:
            PartsMissing: A file is not split yet.
        """
        todo = [b for b in shard.share(self.buckets) if not self._made(b, last_month).exists()]
        rows = sum((pieces.rows for pieces in self._pieces), np.zeros(self.buckets, np.int64))
        room = Room(REPEATED_ROWS_AT_ONCE if self.repeats else ROWS_AT_ONCE)

        def make(bucket: int) -> None:
            with room.taken(int(rows[bucket])):
                self._make(last_month, bucket)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(make, todo):
                pass
        return len(todo)

    def merged(self, last_month: date) -> Made:
        """All buckets together.

        Raises:
            PartsMissing: A file is not split, or a bucket is not made, or not from these events.
        """
        made = [self._made(bucket, last_month) for bucket in range(self.buckets)]
        if missing := [str(b) for b, folder in enumerate(made) if not folder.exists()]:
            raise PartsMissing(
                f"{len(missing)} of {self.buckets} buckets of the panel up to {last_month:%Y-%m} are not made from"
                f" these events, the first is {missing[0]}; run `python -m ml panel --shard I/N` for every I"
            )
        return read_parts(made)

    def tidy(self, last_month: date) -> None:
        """Remove parts that this panel is not made of; nobody else may be at work in the folder."""
        used = {self._split(names) for names in self._together}
        used |= {self._made(bucket, last_month) for bucket in range(self.buckets)}
        for folder in self.folder.glob("*/*/*"):
            if folder not in used:
                shutil.rmtree(folder)

    @cached_property
    def _root(self) -> Path:
        named = (FORMAT, pl.__version__, self.buckets, self.zone, self.repeats)
        return self.folder / _digest(named)

    @cached_property
    def _together(self) -> Sequence[tuple[str, ...]]:
        return together({name: file.stat().st_size for name, file in self.files.items()})

    def _split(self, names: tuple[str, ...]) -> Path:
        return self._root / "split" / _digest(names)

    def _made(self, bucket: int, last_month: date) -> Path:
        made_of = [pieces.folder.name for pieces in self._pieces if pieces.rows[bucket]]
        return self._root / "made" / f"{bucket}-{_digest((made_of, str(last_month), self.trusted))}"

    @cached_property
    def _pieces(self) -> Sequence[Pieces]:
        """What was split, in a fixed order."""
        folders = sorted(self._split(names) for names in self._together)
        if not all(folder.exists() for folder in folders):
            raise PartsMissing(
                "a file of events is not split by product yet; run `python -m ml panel --split I/N` for every I"
            )
        return [Pieces.open(folder) for folder in folders]

    def _rows(self, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        """What is kept of the files' events: each one where an id may come again, otherwise `condensed` by portion."""
        stored = {name: kind for name, kind in EVENT_SCHEMA.items() if name in CONDENSED_SCHEMA}
        events = pl.scan_parquet(
            [self.files[name] for name in names],
            hive_partitioning=False,
            schema=stored,
            missing_columns="insert",
            extra_columns="ignore",
        )
        dated = events.with_columns(self._month(events))
        kept = uncounted if self.repeats else condensed
        for start in range(0, events.select(pl.len()).collect().item(), PORTION):
            yield kept(dated.slice(start, PORTION)).collect(engine="streaming")

    def _month(self, events: pl.LazyFrame) -> pl.Expr:
        """The month of each event; in files of a single month, as the lake's are, it is worked out once."""
        moment = pl.col("occurred_at")
        ends = events.select(shop_month(moment.min(), self.zone), last=shop_month(moment.max(), self.zone))
        first, last = ends.collect(engine="streaming").row(0)
        month = pl.lit(first, pl.Date) if first == last else shop_month(moment, self.zone)
        return month.alias("month")

    def _make(self, last_month: date, bucket: int) -> None:
        with whole(
            self._made(bucket, last_month)
        ) as folder:  # no name here, it would keep the rows as they were
            write_part(self._of_bucket(bucket), folder, last_month, self.zone, self.trusted)

    def _of_bucket(self, bucket: int) -> pl.LazyFrame:
        """The bucket's rows, read one after the other."""
        found = (rows for pieces in self._pieces for rows in pieces.read(bucket))
        return recondensed(found, repeats=self.repeats)


def write_part(
    rows: pl.LazyFrame, folder: Path, last_month: date, zone: str, trusted: Sequence[str]
) -> tuple[int, int]:
    """Sum up all rows (`CONDENSED_SCHEMA`) of some products into a new folder.

    Returns:
        How many rows of the panel they are, and how many events are set aside.
    """
    rows = rows.collect(engine="streaming").lazy()
    aside = set_aside(rows, trusted)
    without = products_without_row(rows, aside, last_month)
    rows = learned_from(rows, aside).collect().lazy()
    panel = panel_of_condensed(rows, last_month, zone)
    folder.mkdir()
    panel.write_parquet(folder / "panel.parquet")
    aside.write_parquet(folder / "aside.parquet")
    pl.DataFrame(list(without.items()), _WITHOUT, orient="row").write_parquet(folder / "without.parquet")
    return panel.height, aside.height


def read_parts(folders: Sequence[Path]) -> Made:
    """What `write_part` left in folders of different products."""
    panel, aside, without = (
        pl.scan_parquet([folder / f"{name}.parquet" for folder in folders])
        for name in ("panel", "aside", "without")
    )
    counts = without.group_by("reason").agg(pl.col("products").sum()).sort("reason").collect()
    return Made(panel, aside, dict(counts.iter_rows()))


def _digest(named: object) -> str:
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder to write that gets its name when it is complete; of two that are written at once the first stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        yield draft / "whole"
        (draft / "whole").mkdir(exist_ok=True)
        if not target.exists():
            (draft / "whole").rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
