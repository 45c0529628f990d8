"""Forecast the last periods of any panel or event file as they would have been forecast at the time."""

import logging
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from ml.distribution import P10, P50, P90
from ml.errors import BadPanel
from ml.evaluation import Backtest, backtest
from ml.event_rows import canonical_ids
from ml.file_checks import ALLOWABLE
from ml.hindcasts import FIRST_ORIGIN, calibration_window
from ml.history import History
from ml.ingest import accepted_events
from ml.models import CANDIDATES, RECIPE
from ml.panel import history_of_events
from ml.panel_file import Panel, panel_of_history, read_panel
from ml.plan_file import read_plan, with_plan
from ml.settings import MlSettings
from ml.terminal import progress_bar
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)

NO_CURRENCY = "XXX"
"""ISO 4217 for none: amounts are compared within the file only."""

PASSED_OVER = ALLOWABLE - {"isolated-dates"}
"""Checks that protect a lake; here their rows are left out and counted."""


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Write one row per series, tested period and model; say how good they were."""
    panel = _of_events(options, settings) if options.events else read_panel(options.panel, options.season)
    plan = _with_plan(panel.history, options) if options.plan else None
    history = panel.history if plan is None else plan[0]
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
        "plan": None if plan is None else plan[1],
        "benchmark": tested.table(),
    }
    return Answer(report)


def _calibration_origins(history: History, tested: int) -> int:
    """As many as are wanted, but no more than leave the tested periods something to learn from."""
    window = calibration_window(history.n, planned=bool(history.plan))
    return min(window, max(0, history.T - FIRST_ORIGIN - tested))


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


def _with_plan(history: History, options: Namespace) -> tuple[History, dict[str, Any]]:
    """The history with the plan in the file, and what was made of its columns and rows."""
    plan = read_plan(options.plan, canonical_ids if options.events else None)
    planned, counts = with_plan(history, plan)
    if not planned.plan:
        raise BadPanel(
            "plan-without-match",
            f"no value of {str(options.plan)!r} is for a series and period of the history, which has"
            f" {history.product_ids[0]!r} and others in {history.months[0]} to {history.next_month}; {counts}",
        )
    return planned, {"columns": dict(plan.columns), "counts": {**plan.counts, **counts}}


def _forecasts(tested: Backtest, labels: pl.Series) -> pl.DataFrame:
    """One row per model, tested period and series that was listed the period before, in that order."""
    history, parts = tested.history, []
    ids = pl.Series(history.product_ids, dtype=pl.String)
    for name, predictions in tested.predictions.items():
        for t, prediction in zip(tested.origins, predictions, strict=True):
            listed = np.flatnonzero(~np.isnan(history.units[:, t - 1]))
            values = {"point": prediction.mean} | {
                f"q{share}": prediction.levels[:, i] for share, i in ((10, P10), (50, P50), (90, P90))
            }
            parts.append(
                pl.DataFrame(
                    {
                        "series_id": ids[listed],
                        "period": pl.repeat(labels[t], len(listed), dtype=pl.Date, eager=True),
                        **{column: value[listed] for column, value in values.items()},
                        "model": pl.repeat(name, len(listed), dtype=pl.String, eager=True),
                    }
                )
            )
    return pl.concat(parts)
