"""Judge stored forecasts by what was sold."""

import json
from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ml.drift.expected_loss import open_month_losses
from ml.errors import SnapshotNotFound
from ml.forecast_table import month_errors
from ml.history import History
from ml.impact.measure import SHOP, Costs, impacts, outcomes
from ml.lake import Lake
from ml.model_store import EVALUATION, ModelStore
from ml.panel import load_history
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:  # noqa: ARG001
    """Errors of every model in every month that is over, and what is expected of the month that is open.

    The same goes to the model store, for the metrics of the forecast service.
    """
    lake = Lake(settings.lake)
    history = load_history(lake)
    measured = [asdict(error) for error in month_errors(lake, history)]
    told = {"months": measured, "open": [asdict(each) for each in open_month_losses(lake, history)]}
    report = told | {
        "created_at": datetime.now(UTC).isoformat(),
        "newest_event_at": _newest_event_at(lake),
        "impact": _impact(lake, history),
    }
    ModelStore.of(settings).put_report(EVALUATION, json.dumps(report, allow_nan=False).encode())
    return Answer(told | {"newest_event_at": report["newest_event_at"]})


def _impact(lake: Lake, history: History) -> list[dict[str, Any]]:
    """Of the whole shop, by month and at the end of all; nothing while no month that was forecast is over."""
    costs = Costs.assumed()
    try:
        found = impacts(outcomes(lake, history, costs), costs)
    except SnapshotNotFound:
        return []
    return [
        {
            "month": each.month,
            "units": each.units,
            "stock_outs_avoided_units": each.naive.stock_out_units - each.forecast.stock_out_units,
            "avoided_cents": each.avoided_cents,
        }
        for each in found
        if each.category == SHOP
    ]


def _newest_event_at(lake: Lake) -> Any:
    newest = lake.read("events").select(pl.col("occurred_at").max()).collect().item()
    return None if newest is None else newest.isoformat()
