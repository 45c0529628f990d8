"""Forecasts of past periods with what came, from a file or from a backtest in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml import features
from ml.decisions.demand import Demand
from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS, mean_of
from ml.errors import MlError
from ml.evaluation import Backtest
from ml.history import History
from ml.panel_file import Panel, read_panel

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
    def read(cls, path: Path, panel: Path | None = None, model: str | None = None) -> Self:
        """A Parquet or CSV file, such as `python -m ml backtest` writes.

        Needed are `series_id, period, actual` and either `pmf` (a list, Parquet only) or all of
        `q05, q10, q25, q50, q75, q90, q95, q99`. Used where they are there: `mean` or `point`, `price`,
        `recent_mean`, `recent_deviation`, `demand_class`, `category`. A row whose outcome is null is left out.

        Args:
            path: The file.
            panel: The panel that was forecast, to take prices, past units, classes and categories from.
            model: Keep the rows with this name in the column `model`.

        Raises:
            BadForecasts: The file is unreadable, a column is missing, two rows have the same series and
                period, or a number is missing, negative or not finite.
            BadPanel: The panel cannot be read.
        """
        try:
            frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadForecasts(f"{path} cannot be read as {path.suffix or 'Parquet'}: {error}") from error
        if model is not None and "model" in frame.columns:
            frame = frame.filter(pl.col("model") == model)
        if "mean" not in frame.columns and "point" in frame.columns:
            frame = frame.rename({"point": "mean"})
        if "actual" in frame.columns:
            frame = frame.drop_nulls("actual")
        return cls._of_frame(frame if panel is None else _with_panel(frame, read_panel(panel)))

    @classmethod
    def of_backtest(cls, tested: Backtest, name: str, most: int | None = None) -> Self:
        """The forecasts that one candidate made in a backtest.

        Args:
            tested: Has the candidate, and forecasts that count.
            name: Of the candidate.
            most: With more forecasts only those of products evenly spread over the portfolio, the same for
                every candidate; None for all.
        """
        parts, among = [], np.zeros(tested.history.n, dtype=np.bool_)
        among[np.flatnonzero(tested.eligible.any(axis=1))[:: _stride(int(tested.eligible.sum()), most)]] = (
            True
        )
        for k, (t, prediction) in enumerate(zip(tested.origins, tested.predictions[name], strict=True)):
            use = np.flatnonzero(tested.eligible[:, k] & among)
            made = {
                "actual": tested.history.units[use, t],
                "mean": prediction.mean[use],
                **dict(zip(QUANTILES, prediction.levels[use].T, strict=True)),
            }
            known = _known_before(tested.history, t, use, str(tested.history.months[t]))
            parts.append(known.with_columns(pl.Series(column, values) for column, values in made.items()))
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


def _stride(rows: int, most: int | None) -> int:
    return 1 if most is None else -(-rows // most)


def _known_before(history: History, t: int, use: NDArray[np.intp], period: str) -> pl.DataFrame:
    """What was known of some products before month index `t`, one row each."""
    past = history.until(t)
    recent, kind = features.window(past.units, RECENT_PERIODS), demand_class(past)
    return pl.DataFrame(
        {
            "series_id": [past.product_ids[i] for i in use],
            "period": [period] * len(use),
            "price": _last_known(past.price_cents[use]) / 100,
            "recent_mean": recent.mean[use],
            "recent_deviation": recent.deviation[use],
            "demand_class": [CLASSES[kind[i]] for i in use],
            "category": [past.categories[i] for i in use],
        }
    )


def _with_panel(frame: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """The forecasts with what the panel knew before each period; a forecast that is not in it knows nothing."""
    history, labels = panel.history, panel.labels.cast(pl.String).to_list()
    asked = set(frame["period"].cast(pl.String))
    known = [
        _known_before(history, t, np.arange(history.n), period)
        for t, period in enumerate(labels)
        if t > 0 and period in asked
    ]
    if not known:
        raise BadForecasts(
            f"no period of the forecasts is in the panel, which has {labels[0]} to {labels[-1]}"
        )
    keys = ["series_id", "period"]
    bare = frame.drop(set(known[0].columns) - set(keys), strict=False)
    return bare.with_columns(pl.col(keys).cast(pl.String)).join(pl.concat(known), on=keys, how="left")


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
