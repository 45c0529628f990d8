"""Forecast the last periods of any panel or event file as they would have been forecast at the time."""

import logging
from argparse import Namespace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from ml.distribution import LEVELS, P10, P50, P90, Floats, Prediction
from ml.evaluation import Backtest, backtest
from ml.file_checks import ALLOWABLE
from ml.hindcasts import FIRST_ORIGIN, calibration_window
from ml.history import History
from ml.ingest import accepted_events
from ml.models import CANDIDATES, RECIPE
from ml.panel import history_of_events
from ml.panel_file import Panel, panel_of_history, read_panel
from ml.settings import MlSettings
from ml.terminal import progress_bar
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)

NO_CURRENCY = "XXX"
"""ISO 4217 for none: amounts are compared within the file only."""

OUTER = tuple(i for i in range(len(LEVELS)) if i not in (P10, P50, P90))
"""Places of the quantiles that stand behind the stable columns."""

PASSED_OVER = ALLOWABLE - {"isolated-dates"}
"""Checks that protect a lake; here their rows are left out and counted."""


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Write one row per series, tested period and model; say how good they were."""
    panel = _of_events(options, settings) if options.events else read_panel(options.panel, options.season)
    history = panel.history
    _LOG.info("panel_read", extra={"series": history.n, "periods": history.T, "season": history.season})
    candidates = CANDIDATES if options.all else {RECIPE: CANDIDATES[RECIPE]}
    with progress_bar() as progress:
        tested = backtest(
            history,
            candidates,
            seed=settings.random_seed,
            test_origins=options.origins,
            calibration_origins=_calibration_origins(history, options.origins),
            progress=progress,
        )
    forecasts = _forecasts(tested, panel.labels)
    forecasts.write_parquet(options.out)
    report = {
        "series": history.n,
        "periods": history.T,
        "first_period": str(panel.labels[0]),
        "last_period": str(panel.labels[-1]),
        "step": f"{history.step} {'months' if str(history.months.dtype) == 'datetime64[M]' else 'days'}",
        "season": history.season,
        "origins": [str(panel.labels[t]) for t in tested.origins],
        "forecasts": forecasts.height,
        "counts": dict(panel.counts),
        "benchmark": tested.table(),
    }
    return Answer(report)


def _calibration_origins(history: History, tested: int) -> int:
    """As many as are wanted, but no more than leave the tested periods something to learn from."""
    return min(calibration_window(history.n), max(0, history.T - FIRST_ORIGIN - tested))


def _of_events(options: Namespace, settings: MlSettings) -> Panel:
    now = datetime.now(UTC)
    with progress_bar() as progress:
        events = accepted_events(
            options.events,
            settings,
            mapping=dict(options.map),
            timezone=options.timezone or settings.shop_zone,
            currency=options.currency or NO_CURRENCY,
            allow=PASSED_OVER,
            now=now,
            progress=progress,
        )
    return panel_of_history(history_of_events(events, settings, now), {"events": events.height})


def _forecasts(tested: Backtest, labels: pl.Series) -> pl.DataFrame:
    """One row per model, tested period and series that was listed the period before, in that order.

    `actual` is null where the series ended.
    """
    history, parts = tested.history, []
    ids = pl.Series(history.product_ids, dtype=pl.String)
    for name, predictions in tested.predictions.items():
        for t, prediction in zip(tested.origins, predictions, strict=True):
            listed = np.flatnonzero(~np.isnan(history.units[:, t - 1]))
            values = {"point": prediction.mean} | _quantiles(prediction, (P10, P50, P90))
            behind = _quantiles(prediction, OUTER) | {"actual": history.units[:, t]}
            parts.append(
                pl.DataFrame(
                    {
                        "series_id": ids[listed],
                        "period": pl.repeat(labels[t], len(listed), dtype=pl.Date, eager=True),
                        **{column: value[listed] for column, value in values.items()},
                        "model": pl.repeat(name, len(listed), dtype=pl.String, eager=True),
                        **{column: value[listed] for column, value in behind.items()},
                    },
                    nan_to_null=True,
                )
            )
    return pl.concat(parts)


def _quantiles(prediction: Prediction, places: tuple[int, ...]) -> dict[str, Floats]:
    return {f"q{round(100 * LEVELS[i]):02d}": prediction.levels[:, i] for i in places}
