"""What `benchmarks.drift` compares with: Kolmogorov and Smirnov's test by column, and Evidently's default preset.

Both compare the newest batch with all batches before it, of which at most `REFERENCE_ROWS` rows are drawn.
"""

import resource
import time
import warnings

import numpy as np
import polars as pl
from scipy.stats import ks_2samp

from ml.drift.input_drift import judge_frame
from tests.ml.drift.seasonal_frames import newest

REFERENCE_ROWS = 5_000
LARGE_ROWS, LARGE_COLUMNS = 1_000_000, 20


def large(who: str) -> str:
    """Wall and processor seconds of one judgement, and the peak of the process with the frame in it."""
    rng = np.random.default_rng(0)
    weeks = 104
    starts = np.datetime64("2024-01-01") + 7 * np.arange(weeks)
    made = pl.DataFrame(
        {
            "batch": np.repeat(starts, LARGE_ROWS // weeks + 1)[:LARGE_ROWS],
            **{f"x{i}": rng.normal(size=LARGE_ROWS) for i in range(LARGE_COLUMNS)},
        }
    ).with_columns(pl.col("batch").cast(pl.Date))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if who == "evidently":
        evidently_share(made.gather_every(1_000))  # loading it is not counted
    began, processor = time.monotonic(), time.process_time()
    if who == "ours":
        judge_frame(made, batch="batch", every="week")
    else:
        evidently_share(made, rows=None)
    took, spent = time.monotonic() - began, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (
        f"{took:.1f} ({spent:.1f} of processor) | {peak // 1024:,} MiB, {before // 1024:,} of them the frame"
    )


def _split(made: pl.DataFrame, rows: int | None = REFERENCE_ROWS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The newest batch, and what came before it, at most so many rows drawn at random."""
    last = newest(made)
    earlier = made.filter(~last)
    drawn = earlier if rows is None else earlier.sample(min(rows, earlier.height), seed=1)
    return made.filter(last).drop("batch"), drawn.drop("batch")


def ks_share(made: pl.DataFrame) -> float:
    """Share of numeric columns whose newest batch differs from those before it at the 5 % level."""
    current, reference = _split(made)
    numeric = [name for name, kind in current.schema.items() if kind.is_numeric()]
    p_values = [
        ks_2samp(
            *(part[name].drop_nulls().drop_nans().to_numpy() for part in (current, reference)), method="asymp"
        ).pvalue
        for name in numeric
    ]
    return float(np.mean(np.array(p_values) < 0.05))  # noqa: PLR2004 - the usual level


def evidently_share(made: pl.DataFrame, rows: int | None = REFERENCE_ROWS) -> float:
    """Share of columns that the default preset calls drifted; from a half on it calls the frame so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Report  # noqa: PLC0415 - takes seconds to load
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        current, reference = (part.to_pandas() for part in _split(made, rows))
        told = Report([DataDriftPreset()]).run(current, reference).dict()
    return float(told["metrics"][0]["value"]["share"])
