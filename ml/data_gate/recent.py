"""The newest days of the lake's events, and what the shop knew before each of them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.columns import EVENT_SCHEMA
from ml.data_gate.settings import QualitySettings
from ml.events import EventType
from ml.history import Floats

Days = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Recent:
    """Events of the judged days, and of the weeks before them that they are compared with.

    Attributes:
        rows: `EVENT_SCHEMA` from the first of these days on, also those without a time and later ones.
        events: Those of these days, with the local `day` and `hour`, and whether `new_product` and
            `new_category` were never seen before that day.
        days: Local days, oldest first, all of them; the last `judged` ones are judged, the others compared with.
        judged: How many days are judged; fewer than the settings say in a young shop.
        first: The shop's first day.
        newest: The newest event up to now, aware UTC.
        settings: Of the gate.
    """

    rows: pl.DataFrame
    events: pl.DataFrame
    days: Days
    judged: int
    first: date
    newest: datetime
    settings: QualitySettings

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(D,) days that may be judged or compared with: since the shop began, and of no known reason."""
        known = np.array(self.settings.known_days, "datetime64[D]")
        usable: NDArray[np.bool_] = (self.days >= np.datetime64(self.first)) & ~np.isin(self.days, known)
        return usable

    @property
    def start(self) -> date:
        """The first judged day."""
        start: date = self.days[-self.judged].item()
        return start

    @property
    def purchases(self) -> pl.DataFrame:
        """Those of the events that are purchases."""
        return self.events.filter(pl.col("event_type") == EventType.purchase)

    def counts(self, frame: pl.DataFrame, value: pl.Expr | None = None) -> Floats:
        """(D,) rows of a frame by its `day`, or another aggregate of them; 0 where there is none."""
        _, dense = self.table(
            frame.with_columns(pl.lit("").alias("all")), "all", pl.len() if value is None else value
        )
        summed: Floats = dense.sum(axis=1)
        return summed

    def table(self, frame: pl.DataFrame, key: str, value: pl.Expr) -> tuple[list[Any], Floats]:
        """Keys, sorted, and a (D, K) array of an aggregate by day and key, 0 where there is no row."""
        sums = frame.group_by("day", key).agg(value.cast(pl.Float64).alias("value")).drop_nulls().sort(key)
        keys = sums[key].unique(maintain_order=True).to_list()
        dense = np.zeros((len(self.days), len(keys)))
        row = (sums["day"].to_numpy().astype("datetime64[D]") - self.days[0]).astype(np.intp)
        dense[row, sums[key].rle_id().to_numpy()] = sums["value"].to_numpy()
        return keys, dense

    def frame(self, **columns: Floats) -> pl.DataFrame:
        """One row per day with these (D,) columns."""
        return pl.DataFrame({"day": pl.Series(self.days, dtype=pl.Date), **columns})


def recent_of(
    events: pl.LazyFrame, settings: QualitySettings, zone: str, as_of: datetime | None
) -> Recent | None:
    """The days before that of the newest event up to `as_of` (None: of all); the day itself may still grow.

    None where there is no event, or none on an earlier day.

    Args:
        events: `EVENT_SCHEMA`.
        settings: How many days and weeks.
        zone: Days are counted in this zone.
        as_of: Aware instant; later events make no day.
    """
    moment, local = pl.col("occurred_at"), pl.col("occurred_at").dt.convert_time_zone(zone)
    known = events if as_of is None else events.filter(moment <= as_of)
    ends = known.select(first=local.min().dt.date(), end=local.max().dt.date(), newest=moment.max())
    first, end, newest = ends.collect(engine="streaming").row(0)
    if newest is None or first == end:
        return None
    judged = min(settings.days, (end - first).days)
    begin = end - timedelta(days=judged + 7 * settings.weeks)
    # The month is the partition that need not be read; it is the shop's own, as the days are.
    rows = events.filter((pl.col("event_month") >= f"{begin:%Y-%m}").fill_null(value=True))
    read = rows.select(*EVENT_SCHEMA, local.dt.date().alias("day"), local.dt.hour().alias("hour"))
    for key, name in (("product_id", "new_product"), ("category", "new_category")):
        seen = known.group_by(key).agg(local.min().dt.date().alias("seen"))
        read = read.join(seen, on=key, how="left", nulls_equal=True)
        read = read.with_columns((pl.col("seen") == pl.col("day")).alias(name)).drop("seen")
    frame = read.collect(engine="streaming")
    days = np.arange(np.datetime64(begin, "D"), np.datetime64(end, "D"))
    of_days = pl.col("day").is_between(begin, end, closed="left")
    return Recent(frame.select(*EVENT_SCHEMA), frame.filter(of_days), days, judged, first, newest, settings)
