"""A second world for `benchmarks.drift`, which the method was not made beside: weeks of a real shop, drawn again.

Each week of a history is a real one of Online Retail II from the same season of either year, and the weeks that follow
it are those that followed it, up to four in a row. So rows, their moods, and what a week has in common are real; season
and years come from one pool, and nothing drifts by construction.
"""

import os
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from benchmarks.drift_counts import Count, head
from benchmarks.drift_rivals import ks_share
from ml.drift.input_drift import InputDrift, judge_frame

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
EVENTS = SHARED / "online_retail_ii" / "events.parquet"

ROWS: Final = 200
MONTHS: Final = (24, 36, 48, 60)
BLOCK: Final = 4
NEAR_WEEKS: Final = 2
"""A week stands for those of any year that are at most so far from it in the season."""

YEAR_DAYS, WEEK_DAYS, FULL_YEAR = 365.25, 7, 183
NUMERIC: Final = ("units", "price", "paid", "hour", "weekday", "lines")


@cache
def weeks() -> tuple[np.ndarray[tuple[int], np.dtype[np.datetime64]], dict[int, pl.DataFrame]]:
    """First days of all real weeks with rows enough, and the rows of each by its place."""
    rows = pl.read_parquet(EVENTS).filter(pl.col("event_type") == "purchase", pl.col("price") > 0)
    made = rows.select(
        week=pl.col("event_time").dt.truncate("1w").dt.date(),
        units=pl.col("quantity").log1p(),
        price=pl.col("price").log(),
        paid=(pl.col("quantity") * pl.col("price")).log1p(),
        hour=pl.col("event_time").dt.hour().cast(pl.Float64),
        weekday=pl.col("event_time").dt.weekday().cast(pl.Float64),
        lines=pl.len().over("order_id").cast(pl.Float64).log(),
        customer=pl.col("user_id").cast(pl.Float64).sign(),
        category=pl.col("category"),
    )
    parts = [part for part in made.sort("week").partition_by("week") if part.height >= 2 * ROWS]
    starts = np.array([part["week"][0] for part in parts], dtype="datetime64[D]")
    return starts, dict(enumerate(parts))


def frame(seed: int, *, shift: float = 0.0, batches: int = 1, rows: int = ROWS) -> pl.DataFrame:
    """One row per order line: `batch` and its columns; the last batches have one column shifted.

    Args:
        seed: Of everything in it.
        shift: What the column has more, in its standard deviations.
        batches: Of the end that have it.
        rows: In each batch, drawn from those of the real week.
    """
    rng = np.random.default_rng([seed, 41])
    starts, parts = weeks()
    last = np.datetime64("2025-01-06") + WEEK_DAYS * int(rng.integers(0, 98))
    count = int(30.44 / WEEK_DAYS * MONTHS[seed % len(MONTHS)])
    days = last - WEEK_DAYS * np.arange(count)[::-1]
    drawn: list[int] = []
    while len(drawn) < count:
        first = int(rng.choice(_of_the_season(starts, days[len(drawn)])))
        drawn += [at for at in range(first, first + BLOCK) if at < len(starts)]
    made = pl.concat(
        parts[at].sample(rows, seed=int(rng.integers(1 << 30))).with_columns(batch=pl.lit(day).cast(pl.Date))
        for at, day in zip(drawn[:count], days, strict=True)
    ).drop("week")
    if not shift:
        return made
    name = str(rng.choice(NUMERIC))
    by = shift * float(made[name].std())  # type: ignore[arg-type]
    recent = pl.col("batch") > pl.lit(last - WEEK_DAYS * batches).cast(pl.Date)
    return made.with_columns(pl.when(recent).then(pl.col(name) + by).otherwise(name).alias(name))


def _of_the_season(
    starts: np.ndarray[tuple[int], np.dtype[np.datetime64]], day: np.datetime64
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Places of the real weeks that are near this day in the year."""
    apart = np.abs((starts - day).astype(np.int64)) % YEAR_DAYS
    return np.flatnonzero(np.minimum(apart, YEAR_DAYS - apart) <= WEEK_DAYS * NEAR_WEEKS + WEEK_DAYS / 2)


def table(runs: int) -> None:
    """Print alarms without drift, and what is found of one standard deviation in one of eight columns."""
    if not EVENTS.is_file():
        print(f"\nno {EVENTS}: the second world is left out")
        return
    columns = [
        "this",
        "KS < .05 in any column",
        "KS < .05 in half of them",
        "1 sigma in 1 of 8, one batch",
        "two",
    ]
    head("weeks of a real shop, drawn again", columns)
    ours, any_column, half, one, two = (Count() for _ in range(5))
    for seed in range(runs):
        made = frame(seed)
        answer = _judged(made).answer
        ours.answers[answer] += 1
        if answer == "not enough data":
            continue
        share = ks_share(made)
        any_column.answers["drift" if share > 0 else "no drift"] += 1
        half.answers["drift" if share >= 0.5 else "no drift"] += 1  # noqa: PLR2004 - Evidently's default
        if seed < runs // 8:
            first, second = (_judged(frame(seed, shift=1.0, batches=batches)).answer for batches in (1, 2))
            one.answers[first] += 1
            two.answers["drift" if "drift" in (first, second) else "no drift"] += 1
    print(f"| all | {' | '.join(each.share() for each in (ours, any_column, half, one, two))} |", flush=True)


def _judged(made: pl.DataFrame) -> InputDrift:
    return judge_frame(made, batch="batch", every="week")
