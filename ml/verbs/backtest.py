"""Forecast the last periods of any panel or event file as they would have been forecast at the time."""

import logging
from argparse import Namespace
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from ml.card import model_card
from ml.choice import BASELINE, FLOOR
from ml.code_commit import code_commit
from ml.distribution import LEVELS, P10, P50, P90, Floats, Prediction
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
from ml.papers import by_month_and_class
from ml.plan_file import read_plan, with_plan
from ml.report import backtest_files
from ml.settings import MlSettings
from ml.terminal import progress_bar
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)

NO_CURRENCY = "XXX"
"""ISO 4217 for none: amounts are compared within the file only."""

YARDSTICKS = (BASELINE, FLOOR)
"""Tested too where pictures are asked for, which show the recipe beside them."""
OUTER = tuple(i for i in range(len(LEVELS)) if i not in (P10, P50, P90))
"""Places of the quantiles that stand behind the stable columns."""

PASSED_OVER = ALLOWABLE - {"isolated-dates"}
"""Checks that protect a lake; here their rows are left out and counted."""


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Write one row per series, tested period and model; say how good they were."""
    panel = _of_events(options, settings) if options.events else read_panel(options.panel, options.season)
    plan = _with_plan(panel.history, options) if options.plan else None
    history = panel.history if plan is None else plan[0]
    _LOG.info("panel_read", extra={"series": history.n, "periods": history.T, "season": history.season})
    asked = list(CANDIDATES) if options.all else [RECIPE]
    candidates = {name: CANDIDATES[name] for name in [*asked, *(YARDSTICKS if options.plots else ())]}
    with progress_bar() as progress:
        tested = backtest(
            history,
            candidates,
            seed=settings.random_seed,
            test_origins=options.origins,
            calibration_origins=_calibration_origins(history, options.origins),
            progress=progress,
        )
    wanted = replace(tested, predictions={name: tested.predictions[name] for name in asked})
    forecasts = _forecasts(wanted, panel.labels)
    forecasts.write_parquet(options.out)
    if options.plots:
        _write_papers(tested, options, settings)
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


def _write_papers(tested: Backtest, options: Namespace, settings: MlSettings) -> None:
    """What a training keeps with its model, for a file without one."""
    source = options.events or options.panel
    data = f"--{'events' if options.events else 'panel'} {source.name} --origins {options.origins}"
    command = f"python -m ml backtest {data} --out FORECASTS.parquet --plots FOLDER"
    paper = by_month_and_class(tested, RECIPE)
    card = model_card(
        tested,
        paper,
        title=f"Model card: {RECIPE} on {source.name}",
        facts={"code commit": code_commit(), "seed": str(settings.random_seed)},
        command=f"ML_RANDOM_SEED={settings.random_seed} {command}",
    )
    options.plots.mkdir(parents=True, exist_ok=True)
    for name, content in backtest_files(tested, paper, card).items():
        (options.plots / name).write_bytes(content.encode() if isinstance(content, str) else content)


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
    history, aside = history_of_events(events, settings, now)
    return panel_of_history(history, {"events": events.height, **aside})


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
