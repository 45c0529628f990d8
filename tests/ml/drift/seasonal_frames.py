"""Feature frames of a shop in which nothing drifts: seasons, moving feasts, memory, rows that go together.

Feasts are written down as they were, so that nothing is shared with the calendar that is tested.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]

FEASTS: Final = {
    "ramadan feast": "2020-05-24 2021-05-13 2022-05-02 2023-04-21 2024-04-10 2025-03-30 2026-03-20",
    "sacrifice feast": "2020-07-31 2021-07-20 2022-07-09 2023-06-28 2024-06-16 2025-06-06 2026-05-27",
    "easter": "2020-04-12 2021-04-04 2022-04-17 2023-04-09 2024-03-31 2025-04-20 2026-04-05",
    "black friday": "2020-11-27 2021-11-26 2022-11-25 2023-11-24 2024-11-29 2025-11-28 2026-11-27",
}
DAYS_BEFORE, DAYS_AFTER = 4, 3


@dataclass(frozen=True)
class World:
    """What a frame is made of.

    Attributes:
        every: How long a batch is.
        months: Of history.
        memory: AR(1) coefficient of what moves the rows of a batch together, from day to day or week to week.
        together: Share of a row's variance (without season) that its whole batch has in common.
        rows: In each batch.
        columns: Numeric ones.
    """

    every: Literal["day", "week", "month"] = "week"
    months: int = 36
    memory: float = 0.3
    together: float = 0.05
    rows: int = 200
    columns: int = 20


def batch_starts(world: World, rng: np.random.Generator) -> Dates:
    """First days of the batches up to a random one of 2025 or 2026."""
    end = np.datetime64("2025-01-01") + int(rng.integers(0, 690))
    unit = {"day": "D", "week": "W", "month": "M"}[world.every]
    last = end.astype(f"datetime64[{unit}]")
    count = {"day": 30.44, "week": 30.44 / 7, "month": 1.0}[world.every] * world.months
    return np.arange(last - int(count) + 1, last + 1).astype("datetime64[D]")


def usual(starts: Dates, every: str, rng: np.random.Generator) -> Floats:
    """(T,) what season, weekday and feasts make of one column, in standard deviations of a row."""
    length = {"day": 1, "week": 7, "month": 30}[every]
    days = np.arange(starts[0], starts[-1] + length)
    level = _season(days, rng) + _weekdays(days, rng) + _december(days, rng) + _feasts(days, rng)
    sums = np.concatenate([[0.0], np.cumsum(level)])
    at = (starts - starts[0]).astype(np.int64)
    mean: Floats = (sums[np.minimum(at + length, len(level))] - sums[at]) / length
    return mean


def shared(batches: int, memory: float, rng: np.random.Generator) -> Floats:
    """(T,) stationary AR(1) with variance one."""
    shocks = rng.normal(0, np.sqrt(1 - memory**2), batches)
    shocks[0] = rng.normal()
    made = np.empty(batches)
    past = 0.0
    for t, shock in enumerate(shocks.tolist()):
        past = memory * past + shock
        made[t] = past
    return made


def frame(world: World, seed: int, *, shift: float = 0.0, drifted: int = 0, batches: int = 1) -> pl.DataFrame:
    """One row per observation: `batch`, `x0` to `x19`, `kind` (three categories), `gaps` (2 % missing).

    Args:
        world: What it is made of.
        seed: Of everything in it.
        shift: What the first columns have more, in standard deviations of a row.
        drifted: How many columns that is.
        batches: Of the end that have it.
    """
    rng = np.random.default_rng([seed, 17])
    starts = batch_starts(world, rng)
    count = len(starts)
    columns: dict[str, Floats | list[str] | Dates] = {"batch": np.repeat(starts, world.rows)}
    for i in range(world.columns):
        level = usual(starts, world.every, rng)
        level += np.sqrt(world.together) * shared(count, world.memory, rng)
        if i < drifted:
            level[-batches:] += shift
        own = (
            rng.normal(size=(count, world.rows))
            if i % 2
            else rng.standard_exponential((count, world.rows)) - 1
        )
        values = level[:, np.newaxis] + np.sqrt(1 - world.together) * own
        columns[f"x{i}"] = values.ravel()
    columns["kind"] = rng.choice(["a", "b", "c"], count * world.rows, p=[0.6, 0.3, 0.1]).tolist()
    gaps = rng.normal(size=count * world.rows)
    gaps[rng.random(len(gaps)) < 0.02] = np.nan
    columns["gaps"] = gaps
    return pl.DataFrame(columns).with_columns(pl.col("batch").cast(pl.Date))


def newest(made: pl.DataFrame) -> pl.Expr:
    """Rows of the newest batch."""
    return pl.col("batch") == made["batch"].max()


def with_new_category(made: pl.DataFrame, share: float) -> pl.DataFrame:
    """The newest batch with a share of its rows in a category that was never seen."""
    row = pl.int_range(pl.len()).over("batch")
    fresh = newest(made) & (row < share * row.max().over("batch"))
    return made.with_columns(pl.when(fresh).then(pl.lit("new")).otherwise("kind").alias("kind"))


def with_more_missing(made: pl.DataFrame, share: float) -> pl.DataFrame:
    """The newest batch with so much more of `gaps` missing."""
    row = pl.int_range(pl.len()).over("batch")
    gone = newest(made) & (row < share * pl.len().over("batch"))
    return made.with_columns(pl.when(gone).then(None).otherwise("gaps").alias("gaps"))


def _season(days: Dates, rng: np.random.Generator) -> Floats:
    angle = 2 * np.pi * days.astype(np.float64) / 365.25
    wave = np.sin(angle + rng.uniform(0, 6.28)) + 0.4 * np.sin(2 * angle + rng.uniform(0, 6.28))
    scaled: Floats = rng.uniform(0.5, 2.0) * wave
    return scaled


def _weekdays(days: Dates, rng: np.random.Generator) -> Floats:
    effects = rng.uniform(-0.7, 0.7, 7)
    found: Floats = effects[days.astype(np.int64) % 7]
    return found


def _december(days: Dates, rng: np.random.Generator) -> Floats:
    """A rise towards Christmas that no wave of a year can follow, and a fall after it."""
    parts = [date.fromordinal(719163 + day) for day in days.astype(np.int64).tolist()]
    rise = np.array([(d.day - 4) / 20 if d.month == 12 and 4 < d.day <= 24 else 0.0 for d in parts])
    fixed: Floats = rng.uniform(-1, 1) * rise
    return fixed


def _feasts(days: Dates, rng: np.random.Generator) -> Floats:
    total = np.zeros(len(days))
    for told in FEASTS.values():
        effect = rng.uniform(-1.5, 1.5)
        for day in told.split():
            away = (days - np.datetime64(day)).astype(np.int64)
            total[(away >= -DAYS_BEFORE) & (away < DAYS_AFTER)] += effect
    return total
