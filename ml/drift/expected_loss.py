"""How well a forecast is expected to do while its month is open: its loss by its own distribution.

Direct loss estimation, with the model's calibrated quantiles in the place of a second model that learns losses. It sees
what makes months harder, for example more products that sell rarely, and cannot see that the quantiles are wrong:
that is what outcomes are for (`residual_drift`).
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from ml import metrics
from ml.distribution import LEVELS, Floats, mean_of, ppf
from ml.evaluation import eligible
from ml.features import scale
from ml.forecast_table import QUANTILES, month_errors, newest_forecasts
from ml.history import History
from ml.inference import student_quantile
from ml.lake import Lake

POINTS: Final = 200
"""Equally likely outcomes that stand for a distribution."""

FEWEST_MONTHS: Final = 3
CONFIDENCE: Final = 0.8


@dataclass(frozen=True)
class Expected:
    """Losses of the same forecasts, expected by their own distributions: `wape` of the mean, scaled `pinball`."""

    wape: float | None
    pinball: float | None


@dataclass(frozen=True)
class LossEstimate:
    """How well one model is expected to do in a month that is not over: an estimate, nothing was measured.

    Attributes:
        month: YYYY-MM.
        model_version: Of the forecasts.
        observations: Products that were forecast.
        wape: Expected absolute error of the mean over expected units.
        pinball: Expected scaled loss over the products that a backtest counts.
        low: With `high`, 80 % interval of `pinball` from how estimates of months that are over compare with what came.
        high: See `low`.
        checked_months: How many those are; below three there is no interval.
        usual_ratio: Geometric mean of what came over what was estimated in them.
        estimate: Always true.
    """

    month: str
    model_version: int
    observations: int
    wape: float | None
    pinball: float | None
    low: float | None
    high: float | None
    checked_months: int
    usual_ratio: float | None
    estimate: Literal[True] = True


def expected_losses(quantiles: Floats, scales: Floats) -> Expected:
    """Expected losses of forecasts by their own distributions.

    Outcomes are whole units. Between two quantiles of a count the line overstates it, so the unit below is taken: on
    demand with 85 % zeros the estimate is then 11 % over what came instead of 33 %.

    Args:
        quantiles: (n, 8), tidy.
        scales: (n,) what scaled losses are divided by; NaN for rows that only count for `wape`.
    """
    if not len(quantiles):
        return Expected(None, None)
    shares = (np.arange(POINTS) + 0.5) / POINTS
    outcomes = np.floor(np.stack([ppf(row, shares) for row in quantiles]))
    mean = mean_of(quantiles)
    counted = np.isfinite(scales)
    total = float(mean.sum())
    wape = float(np.abs(outcomes - mean[:, np.newaxis]).mean(axis=1).sum()) / total if total > 0 else None
    rows, drawn = quantiles[counted], outcomes[counted]
    if not len(rows):
        return Expected(wape, None)
    losses = metrics.scaled_pinball(
        drawn.ravel(), np.repeat(rows, POINTS, axis=0), LEVELS, np.repeat(scales[counted], POINTS)
    )
    return Expected(wape, float(np.mean(losses)))


def open_month_losses(lake: Lake, history: History) -> list[LossEstimate]:
    """Estimates for every model that forecast the month after the history.

    Raises:
        SnapshotNotFound: Nothing was forecast yet.
    """
    measured = month_errors(lake, history)
    over = newest_forecasts(lake, sorted({each.month for each in measured}))
    made = []
    for forecasts in newest_forecasts(lake, [str(history.next_month)]):
        version = _version(forecasts)
        came = {each.month: each.pinball for each in measured if each.model_version == version}
        ratios = [
            math.log(loss / expected)
            for past in over
            if _version(past) == version
            and (loss := came[str(past["month"][0])])
            and (expected := _expected(past, history).pinball)
        ]
        made.append(_estimate(forecasts, _expected(forecasts, history), ratios))
    return made


def _estimate(forecasts: pl.DataFrame, found: Expected, ratios: list[float]) -> LossEstimate:
    """With the interval of a new log ratio like those before it (a normal sample's prediction interval)."""
    low = high = None
    if len(ratios) >= FEWEST_MONTHS and found.pinball is not None:
        spread = float(np.std(ratios, ddof=1)) * math.sqrt(1 + 1 / len(ratios))
        reach = student_quantile((1 + CONFIDENCE) / 2, len(ratios) - 1) * spread
        low, high = (found.pinball * math.exp(float(np.mean(ratios)) + end) for end in (-reach, reach))
    return LossEstimate(
        month=str(forecasts["month"][0]),
        model_version=_version(forecasts),
        observations=forecasts.height,
        wape=found.wape,
        pinball=found.pinball,
        low=low,
        high=high,
        checked_months=len(ratios),
        usual_ratio=math.exp(float(np.mean(ratios))) if ratios else None,
    )


def _version(forecasts: pl.DataFrame) -> int:
    return int(forecasts["model_version"][0])


def _expected(forecasts: pl.DataFrame, history: History) -> Expected:
    """Of the forecasts of one month, from the months of the history before it."""
    month = np.datetime64(str(forecasts["month"][0]), "M")
    past = history.until(int((month - history.months[0]).astype(np.int64)))
    row = {product: i for i, product in enumerate(past.product_ids)}
    known = forecasts.filter(pl.col("product_id").is_in(list(row)))
    rows = np.array([row[product] for product in known["product_id"]], dtype=np.intp)
    scales = np.where(eligible(past)[rows], scale(past)[rows], np.nan)
    return expected_losses(known.select(QUANTILES).to_numpy(), scales)
