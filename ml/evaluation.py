"""Backtest: every candidate forecasts the last months one by one and sees only what came before each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml import features, metrics
from ml.calibration import Calibration
from ml.demand_class import SETTLED_MONTHS
from ml.distribution import LEVELS, P10, P50, P90, Prediction
from ml.errors import NoDemand, NotEnoughHistory
from ml.features import CategoryTotals
from ml.hindcasts import FIRST_ORIGIN, Fits, Hindcasts, calibration_window
from ml.history import History
from ml.models.base import Model

Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
Row = dict[str, float | int | str | bool | None]

TEST_ORIGINS: Final = 6
CALIBRATION_ORIGINS: Final = 4
SMALLEST_HISTORY: Final = FIRST_ORIGIN + 1
SALES_NEEDED: Final = 2
OUTER: Final = (P10, P50, P90)


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts of the test months and what came; rows are the products of `history`, columns `origins`.

    Attributes:
        history: All months.
        candidates: Classes by name, in the order of the table.
        origins: Month indices that were forecast.
        eligible: (n, origins) which forecasts count.
        predictions: Calibrated, per candidate one per origin, for every product.
        calibrations: Per candidate, for the month after the last.
        hindcasts: Models and uncalibrated forecasts, to fit on all months without starting anew.
    """

    history: History
    candidates: Mapping[str, type[Model]]
    origins: tuple[int, ...]
    eligible: NDArray[np.bool_]
    predictions: Mapping[str, Sequence[Prediction]]
    calibrations: Mapping[str, Calibration]
    hindcasts: Hindcasts

    def losses(self, name: str) -> Floats:
        """(n, origins) scaled pinball loss over `LEVELS`; NaN where a forecast does not count."""
        return self._losses(self.predictions[name])

    def losses_of(self, predict: Callable[[History, CategoryTotals], Prediction]) -> Floats:
        """The same for any calibrated predictor, for example a champion that is served now."""
        made = [predict(self.history.until(t), self.hindcasts.categories(t)) for t in self.origins]
        return self._losses(made)

    def table(self) -> list[Row]:
        """One row per candidate: errors of the mean, losses of the quantiles, coverage, seconds of fitting.

        Errors are in units, shares are 0 to 1. What has no meaning (nothing sold, nothing eligible) is None.
        """
        return [self._row(name, candidate) for name, candidate in self.candidates.items()]

    def _losses(self, predictions: Sequence[Prediction]) -> Floats:
        losses = np.full(self.eligible.shape, np.nan)
        for k, (t, prediction) in enumerate(zip(self.origins, predictions, strict=True)):
            use, scale = self.eligible[:, k], features.scale(self.history.until(t))
            loss = metrics.scaled_pinball(self.history.units[:, t], prediction.levels, LEVELS, scale)
            losses[use, k] = loss[use]
        return losses

    def _row(self, name: str, candidate: type[Model]) -> Row:
        row: Row = {"candidate": name, "family": candidate.family, "promotable": candidate.promotable}
        row["observations"] = int(self.eligible.sum())
        scores = _scores(self.judged(name)) if row["observations"] else dict.fromkeys(SCORES)
        return row | scores | {"seconds": round(self.hindcasts.seconds.get(name, 0.0), 3)}

    def judged(self, name: str) -> Judged:
        """The forecasts of a candidate that count, with what came."""
        parts = []
        for k, (t, prediction) in enumerate(zip(self.origins, self.predictions[name], strict=True)):
            use, past = np.flatnonzero(self.eligible[:, k]), self.history.until(t)
            scales = (features.scale(past)[use], features.squared_scale(past)[use])
            place = (use, np.full(len(use), k, dtype=np.intp))
            parts.append(
                (*place, self.history.units[use, t], prediction.mean[use], prediction.levels[use], *scales)
            )
        return Judged(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class Judged:
    """Eligible forecasts of all origins below each other.

    Attributes:
        series: (m,) rows of the history.
        origin: (m,) positions in `Backtest.origins`.
        actual: (m,) units that came.
        mean: (m,) expected units.
        quantiles: (m, 8) units at `LEVELS`.
        scale: (m,) units that errors are divided by.
        squared_scale: (m,) what squared errors are divided by.
    """

    series: NDArray[np.intp]
    origin: NDArray[np.intp]
    actual: Floats
    mean: Floats
    quantiles: Floats
    scale: Floats
    squared_scale: Floats


def backtest(
    history: History,
    candidates: Mapping[str, type[Model]],
    *,
    seed: int,
    test_origins: int = TEST_ORIGINS,
    calibration_origins: int | None = None,
    stored: Fits | None = None,
    progress: Progress = lambda _done, _total, _label: None,
) -> Backtest:
    """Forecast the last months with every candidate, fitted and calibrated on the months before each.

    A forecast counts if the product had at least six months, sales in two of them and a sale in the last
    twelve. A short history has fewer origins.

    Args:
        history: At least 3 months.
        candidates: Classes by name.
        seed: Of every fit.
        test_origins: Months that are forecast, the last ones.
        calibration_origins: Months before them that the first calibration learns from; by default 4, or with a
            plan as many as `ml.hindcasts.calibration_window` says and half the history allows.
        stored: Fits that other processes made of the same history.
        progress: Called with fits done, fits in all, and what was fitted.

    Raises:
        NotEnoughHistory: Fewer than 3 months.
    """
    first, test = origins(history, test_origins, calibration_origins)
    hindcasts = Hindcasts(history, seed, first, stored)
    _run(candidates, hindcasts, test, progress)
    ends = range(test.start, history.T + 1)
    calibrations = {
        name: {t: Calibration.fit(candidate.uncertainty, hindcasts.before(candidate, t)) for t in ends}
        for name, candidate in candidates.items()
    }
    predictions = {
        name: [
            calibrations[name][t].apply(history.until(t), hindcasts.prediction(candidate, t)) for t in test
        ]
        for name, candidate in candidates.items()
    }
    return Backtest(
        history=history,
        candidates=candidates,
        origins=tuple(test),
        eligible=np.stack([eligible(history.until(t)) & _listed(history, t) for t in test], axis=1),
        predictions=predictions,
        calibrations={name: calibrations[name][history.T] for name in candidates},
        hindcasts=hindcasts,
    )


def eligible(history: History) -> NDArray[np.bool_]:
    """(n,) products whose next month can judge a model: settled, sold twice, sold in the last year."""
    seen = features.window(history.units, history.T)
    recent = features.window(history.units, features.SEASON)
    settled = seen.months >= min(SETTLED_MONTHS, history.T)
    sold = seen.months * np.nan_to_num(seen.nonzero_share) >= SALES_NEEDED
    return settled & sold & (np.nan_to_num(recent.nonzero_share) > 0)


def _listed(history: History, t: int) -> NDArray[np.bool_]:
    """(n,) products whose units are known in month index `t` and in the one before it."""
    missing = np.isnan(history.units)
    return ~(missing[:, t - 1] | missing[:, t])


def origins(history: History, test: int = TEST_ORIGINS, calibration: int | None = None) -> tuple[int, range]:
    """The earliest origin to fit at and the origins to judge; a short history shares its origins out.

    Args:
        history: At least 3 months.
        test: Months that are judged.
        calibration: Months before them; None as in `backtest`.

    Raises:
        NotEnoughHistory: Fewer than 3 months.
    """
    if calibration is None:
        planned = bool(history.plan)
        calibration = calibration_window(history.n, planned=True) if planned else CALIBRATION_ORIGINS
    if (months := history.T) < SMALLEST_HISTORY:
        raise NotEnoughHistory(
            f"the panel has {months} full months, a backtest needs {SMALLEST_HISTORY}; send older events too"
        )
    usable = months - FIRST_ORIGIN
    calibration = min(calibration, usable // 2)
    test = min(test, usable - calibration)
    return months - test - calibration, range(months - test, months)


def _run(
    candidates: Mapping[str, type[Model]], hindcasts: Hindcasts, test: range, progress: Progress
) -> None:
    """Fit everything once; a candidate that calibrates itself needs no forecasts before the test."""
    work = [
        (name, candidate, t)
        for name, candidate in candidates.items()
        for t in (test if candidate.uncertainty == "own" else range(hindcasts.first, test.stop))
    ]
    for done, (name, candidate, t) in enumerate(work, start=1):
        hindcasts.prediction(candidate, t)
        progress(done, len(work), name)


def _scores(flat: Judged) -> Row:
    actual, mean, quantiles = flat.actual, flat.mean, flat.quantiles
    shares = [LEVELS[i] for i in OUTER]
    return {
        "mae": metrics.mae(actual, mean),
        "rmse": metrics.rmse(actual, mean),
        "wape": _or_none(metrics.wape, actual, mean),
        "mase": metrics.mase(actual, mean, flat.scale),
        "rmsse": metrics.rmsse(actual, mean, flat.squared_scale, flat.series),
        "bias": _or_none(metrics.bias, actual, mean),
        "pinball": float(np.mean(metrics.scaled_pinball(actual, quantiles, LEVELS, flat.scale))),
        "pinball_3": float(
            np.mean(metrics.scaled_pinball(actual, quantiles[:, list(OUTER)], shares, flat.scale))
        ),
        "coverage_80": metrics.coverage(actual, quantiles[:, P10], quantiles[:, P90]),
        "calibration_gap": metrics.calibration_gap(actual, quantiles, LEVELS),
    }


SCORES: Final = (
    *("mae", "rmse", "wape", "mase", "rmsse", "bias"),
    *("pinball", "pinball_3", "coverage_80", "calibration_gap"),
)
"""Columns of `Backtest.table` that judge a candidate."""


def _or_none(metric: Callable[[Floats, Floats], float], actual: Floats, mean: Floats) -> float | None:
    try:
        return metric(actual, mean)
    except NoDemand:
        return None
