"""What a user would pick instead, as the libraries ship it: point forecasts, and intervals where there are any.

A family is a function from a past and the rows asked for to one `Told` per model. Settings are those of the
protocol of the shared peer benchmark, so both can be compared; the seed recipe is that of `ml.models.reference`
with XGBoost in place of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, ExponentiallyWeightedMean, RollingMean
from mlforecast.target_transforms import LocalStandardScaler
from numpy.typing import NDArray
from statsforecast import StatsForecast, models

from ml.features import FEATURES, build, category_totals, level, window
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.reference import SHARES, VOLUMES
from ml.models.smoothing import MovingAverage, Naive, SeasonalNaive

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

INTERVAL: Final = 80
"""Per cent between the two outer quantiles that are compared."""

TREES: Final[dict[str, Any]] = {
    "n_estimators": 300,
    "learning_rate": 0.04,
    "num_leaves": 31,
    "min_child_samples": 30,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.7,
    "reg_lambda": 1.0,
    "n_jobs": 1,
    "verbose": -1,
    "seed": 0,
}
TRAINING_ROWS: Final = 25_000
LAGS: Final = (1, 2, 3, 6, 12)
LIBRARIES: Final = ("statsforecast", "mlforecast", "lightgbm", "xgboost-cpu")


@dataclass(frozen=True, eq=False)
class Told:
    """Point forecasts (m,), and (m, 3) own quantiles at .1, .5 and .9 or None."""

    point: Floats
    own: Floats | None = None


def versions() -> dict[str, str]:
    """Of the libraries behind the models."""
    return {name: version(name) for name in LIBRARIES}


def _averages(past: History, rows: Rows) -> dict[str, Told]:
    points = {name: model().point(past) for name, model in _AVERAGES.items()}
    points |= {f"ma{months}": window(past.units, months).mean for months in (6, 12)}
    return {name: Told(point[rows]) for name, point in points.items()}


_AVERAGES: Final[dict[str, type[Naive | SeasonalNaive | MovingAverage]]] = {
    "naive": Naive,
    "seasonal_naive": SeasonalNaive,
    "ma3": MovingAverage,
}


def _smoothing(past: History, rows: Rows) -> dict[str, Told]:
    return {
        "ses": _told(past, rows, models.SimpleExponentialSmoothingOptimized()),
        "croston": _told(past, rows, models.CrostonOptimized()),
        "sba": _told(past, rows, models.CrostonSBA()),
        "tsb": _told(past, rows, models.TSB(alpha_d=0.2, alpha_p=0.2)),
        "adida": _told(past, rows, models.ADIDA()),
        "imapa": _told(past, rows, models.IMAPA()),
    }


def _autoets(past: History, rows: Rows) -> dict[str, Told]:
    return {"autoets": _told(past, rows, models.AutoETS(season_length=past.season), interval=True)}


def _autotheta(past: History, rows: Rows) -> dict[str, Told]:
    return {"autotheta": _told(past, rows, models.AutoTheta(season_length=past.season), interval=True)}


def _mlforecast(past: History, rows: Rows) -> dict[str, Told]:
    tweedie = lightgbm.LGBMRegressor(objective="tweedie", **TREES)
    squared = lightgbm.LGBMRegressor(objective="regression", **TREES)
    return {
        "mlforecast_tweedie": _pooled(past, rows, tweedie),
        "mlforecast_scaled": _pooled(past, rows, squared, target_transforms=[LocalStandardScaler()]),
    }


def _seed_recipe(past: History, rows: Rows) -> dict[str, Told]:
    """Pooled boosting of squared error on raw units."""
    learned = Hindcasts(past, seed=0).training_rows(past.T, TRAINING_ROWS)
    trees = xgboost.XGBRegressor(
        n_estimators=300, max_depth=6, learning_rate=0.05, subsample=0.8, colsample_bytree=0.8, n_jobs=1
    )
    trees.fit(_raw(learned.features, learned.level), learned.units)
    now = _raw(build(past, category_totals(past)), level(past))
    return {"seed_recipe": _checked(past, rows, trees.predict(now[rows]))}


FAMILIES: Final[Mapping[str, Callable[[History, Rows], dict[str, Told]]]] = {
    "averages": _averages,
    "smoothing": _smoothing,
    "autoets": _autoets,
    "autotheta": _autotheta,
    "mlforecast": _mlforecast,
    "seed_recipe": _seed_recipe,
}


def _told(past: History, rows: Rows, model: Any, *, interval: bool = False) -> Told:
    """One model of statsforecast, each series alone; what it cannot fit gets the mean of its history."""
    shelf = StatsForecast(
        models=[model], freq=_step(past), n_jobs=1, fallback_model=models.HistoricAverage(alias="mean")
    )
    asked = {"level": [INTERVAL]} if interval else {}
    answer = shelf.forecast(df=_long(past, rows), h=1, **asked).sort_values("unique_id")
    point = answer[model.alias].to_numpy(dtype=np.float64)
    if not interval:
        return _checked(past, rows, point)
    low, high = (answer[f"{model.alias}-{side}-{INTERVAL}"].to_numpy(np.float64) for side in ("lo", "hi"))
    return _checked(past, rows, point, np.stack([low, point, high], axis=1))


def _pooled(past: History, rows: Rows, model: Any, **options: Any) -> Told:
    averages = [RollingMean(3, min_samples=1), RollingMean(6, min_samples=1), ExpandingMean()]
    forecaster = MLForecast(
        models={"model": model},
        freq=_step(past),
        lags=[k for k in LAGS if k < past.T - 3],
        lag_transforms={1: [*averages, ExponentiallyWeightedMean(alpha=0.3)]},
        date_features=["month"],
        **options,
    )
    forecaster.fit(_long(past, rows), static_features=[], dropna=False)
    answer = forecaster.predict(1).sort_values("unique_id")
    return _checked(past, rows, answer["model"].to_numpy(dtype=np.float64))


def _checked(past: History, rows: Rows, point: Floats, own: Floats | None = None) -> Told:
    """Nothing negative; the mean of the last year where a model has no finite answer."""
    usual = window(past.units, 12).mean[rows]
    point = np.where(np.isfinite(point), np.maximum(point, 0.0), usual)
    if own is not None:
        own = np.where(np.isfinite(own), np.maximum(own, 0.0), point[:, np.newaxis])
    return Told(point, own)


def _long(past: History, rows: Rows) -> pd.DataFrame:
    """One row per series and known period, in the order of `rows`."""
    units = past.units[rows]
    known = ~np.isnan(units)
    series, period = np.nonzero(known)
    return pd.DataFrame(
        {"unique_id": series, "ds": past.months.astype("datetime64[ns]")[period], "y": units[known]}
    )


def _step(past: History) -> str:
    return f"{past.step}{'MS' if past.months.dtype == np.dtype('datetime64[M]') else 'D'}"


def _raw(rows: Floats, size: Floats) -> Floats:
    volumes = rows[:, [FEATURES.index(name) for name in VOLUMES]] * size[:, np.newaxis]
    shares: Floats = rows[:, [FEATURES.index(name) for name in SHARES]]
    return np.concatenate([volumes, shares], axis=1)
