"""Weekly forecasts and what came: a backtest in which nothing drifts, then errors that grow or intervals too narrow."""

from dataclasses import dataclass

import numpy as np
import polars as pl

NORMAL_P90 = 1.2815515655446004
TOO_NARROW = 1.2815515655446004 / 0.9345892910734801
"""Errors so many times larger turn 80 % of them inside an interval into 65 %: z(.9) / z(.825)."""


@dataclass(frozen=True)
class Errors:
    """How forecasts err.

    Attributes:
        backtest: Batches of the backtest.
        rows: In each batch.
        memory: AR(1) coefficient of what the errors of a batch have in common, and of how large they are.
        together: Share of the variance of errors that a batch has in common.
        size: Standard deviation of the log of how large a batch's errors are.
    """

    backtest: int = 26
    rows: int = 300
    memory: float = 0.3
    together: float = 0.03
    size: float = 0.04


def outcomes(of: Errors, seed: int, *, batches: int, grown: float = 1.0, since: int = 0) -> pl.DataFrame:
    """`batch`, `actual`, `p10`, `p50`, `p90` of the backtest and of `batches` more.

    Errors of the last `since` batches are `grown` times as large.
    """
    rng = np.random.default_rng([seed, 29])
    count = of.backtest + batches
    level, size = (_remembering(count, of.memory, rng) for _ in range(2))
    scale = np.exp(of.size * size)
    scale[count - since :] *= grown
    own = rng.normal(size=(count, of.rows))
    error = scale[:, np.newaxis] * (
        np.sqrt(of.together) * level[:, np.newaxis] + np.sqrt(1 - of.together) * own
    )
    spread = rng.lognormal(2.0, 0.7, (count, of.rows))
    middle = 5 * spread
    starts = np.datetime64("2024-01-01") + 7 * np.arange(count)
    return pl.DataFrame(
        {
            "batch": np.repeat(starts, of.rows),
            "actual": (middle + spread * error).ravel(),
            "p10": (middle - NORMAL_P90 * spread).ravel(),
            "p50": middle.ravel(),
            "p90": (middle + NORMAL_P90 * spread).ravel(),
        }
    ).with_columns(pl.col("batch").cast(pl.Date))


def _remembering(
    count: int, memory: float, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    made = rng.normal(size=count)
    for t in range(1, count):
        made[t] = memory * made[t - 1] + np.sqrt(1 - memory**2) * made[t]
    return made
