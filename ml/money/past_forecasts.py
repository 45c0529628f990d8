"""Forecasts of past periods with what came, from a file or from a backtest in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml import features
from ml.decisions.demand import Demand
from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS, mean_of
from ml.errors import MlError
from ml.evaluation import Backtest

Floats = NDArray[np.float64]

QUANTILES: Final = tuple(f"q{round(100 * level):02d}" for level in LEVELS)
RECENT_PERIODS: Final = 12

_MASS = "pmf"
_NUMBERS = ("mean", "price", "recent_mean", "recent_deviation")
_WORDS = ("demand_class", "category")


class BadForecasts(MlError):
    """A file of forecasts that cannot be replayed."""


@dataclass(frozen=True, eq=False)
class PastForecasts:
    """One row per series and period, (n,) each, as the forecaster knew it before the period.

    Attributes:
        series: Ids.
        period: Labels that sort by time.
        demands: Forecasts.
        mean: Expected units.
        actual: Units that came, >= 0.
        price: Of a unit in money, NaN where unknown.
        recent_mean: Mean units of the last twelve periods, NaN where unknown.
        recent_deviation: Their standard deviation, NaN where unknown.
        demand_class: For the table; empty where unknown.
        category: The same.
    """

    series: NDArray[np.str_]
    period: NDArray[np.str_]
    demands: tuple[Demand, ...]
    mean: Floats
    actual: Floats
    price: Floats
    recent_mean: Floats
    recent_deviation: Floats
    demand_class: NDArray[np.str_]
    category: NDArray[np.str_]

    def rows(self, where: NDArray[np.bool_]) -> PastForecasts:
        """Some of the rows."""
        return PastForecasts(
            demands=tuple(self.demands[i] for i in np.flatnonzero(where)),
            **{name: value[where] for name, value in vars(self).items() if name != "demands"},
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """A Parquet or CSV file.

        Needed are `series_id, period, actual` and either `pmf` (a list, Parquet only) or all of
        `q05, q10, q25, q50, q75, q90, q95, q99`. Used where they are there: `mean`, `price`,
        `recent_mean`, `recent_deviation`, `demand_class`, `category`.

        Raises:
            BadForecasts: The file is unreadable, a column is missing, two rows have the same series and
                period, or a number is missing, negative or not finite.
        """
        try:
            frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadForecasts(f"{path} cannot be read as {path.suffix or 'Parquet'}: {error}") from error
        return cls._of_frame(frame)

    @classmethod
    def of_backtest(cls, tested: Backtest, name: str) -> Self:
        """The forecasts that one candidate made in a backtest."""
        parts = []
        for k, (t, prediction) in enumerate(zip(tested.origins, tested.predictions[name], strict=True)):
            past, use = tested.history.until(t), np.flatnonzero(tested.eligible[:, k])
            recent, kind = features.window(past.units, RECENT_PERIODS), demand_class(past)[use]
            columns: dict[str, Any] = {
                "series_id": [past.product_ids[i] for i in use],
                "period": [str(tested.history.months[t])] * len(use),
                "actual": tested.history.units[use, t],
                "mean": prediction.mean[use],
                "price": _last_known(past.price_cents[use]) / 100,
                "recent_mean": recent.mean[use],
                "recent_deviation": recent.deviation[use],
                "demand_class": [CLASSES[i] for i in kind],
                "category": [past.categories[i] for i in use],
            }
            levels = dict(zip(QUANTILES, prediction.levels[use].T, strict=True))
            parts.append(pl.DataFrame(columns | levels))
        return cls._of_frame(pl.concat(parts))

    @classmethod
    def _of_frame(cls, frame: pl.DataFrame) -> Self:
        _check(frame)
        frame = frame.sort("series_id", "period")
        n, has = frame.height, set(frame.columns)
        demands, means = _demands(frame)
        numbers = {
            name: frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
            if name in has
            else np.full(n, np.nan)
            for name in _NUMBERS
        }
        words = {
            name: np.array(frame[name].cast(pl.String).fill_null("").to_list() if name in has else [""] * n)
            for name in _WORDS
        }
        return cls(
            series=np.array(frame["series_id"].cast(pl.String).to_list()),
            period=np.array(frame["period"].cast(pl.String).to_list()),
            demands=demands,
            actual=frame["actual"].cast(pl.Float64).to_numpy(),
            **numbers | {"mean": np.where(np.isfinite(numbers["mean"]), numbers["mean"], means)},
            **words,
        )


def _check(frame: pl.DataFrame) -> None:
    shape = () if _MASS in frame.columns else QUANTILES
    needed = ("series_id", "period", "actual", *shape)
    if missing := [name for name in needed if name not in frame.columns]:
        raise BadForecasts(f"the column {missing[0]!r} is missing; needed are {', '.join(needed)} (or pmf)")
    if not frame.height:
        raise BadForecasts("there is no forecast in the file")
    if frame.select("series_id", "period").is_duplicated().any():
        raise BadForecasts("two rows have the same series_id and period; keep one model's forecasts")
    for name in ("actual", *shape):
        values = frame[name].cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise BadForecasts(f"{name} has a value that is missing, negative or not finite")


def _demands(frame: pl.DataFrame) -> tuple[tuple[Demand, ...], Floats]:
    if _MASS in frame.columns:
        demands = tuple(Demand(np.array(mass, dtype=np.float64)) for mass in frame[_MASS].to_list())
        return demands, np.array([demand.mean for demand in demands])
    quantiles = np.sort(frame.select(pl.col(QUANTILES).cast(pl.Float64)).to_numpy(), axis=1)
    return tuple(Demand.from_quantiles(quantiles)), mean_of(quantiles)


def _last_known(values: Floats) -> Floats:
    """(n,) the last value of each row that is not NaN; NaN where there is none."""
    last = np.full(len(values), np.nan)
    for column in values.T:
        last = np.where(np.isfinite(column), column, last)
    return last
