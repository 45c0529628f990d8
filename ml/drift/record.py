"""Verdicts on drift at rest: kept in the lake, handed to the console and its metrics through the model store."""

import json
from datetime import datetime
from typing import Any, Final

import polars as pl

from ml.columns import DRIFT_SCHEMA
from ml.data_version import DataVersion
from ml.drift.input_drift import MEASURED_FALSE_ALARMS
from ml.drift.judging import Drift
from ml.drift.verdict import Judged, Verdict, verdict
from ml.lake import Lake
from ml.model_store import DRIFT, ModelStore

TABLE: Final = "drift"
HISTORY: Final = 60
"""Earlier verdicts that the console is told."""

_TOLD: Final = ("period", "answer", "episode", "retrain", "model_version")


def keep(
    drift: Drift,
    lake: Lake,
    store: ModelStore,
    *,
    model_version: int,
    data_version: DataVersion,
    now: datetime,
) -> Verdict:
    """What the finding means after those of earlier periods, written to the lake and the store.

    The same period, model and data version again add no row and say the same.

    Raises:
        StoreUnavailable: One of the two cannot be written.
    """
    period, model = drift.forecasts.month, drift.forecasts.model_sha256
    with lake.lock():
        kept = lake.read(TABLE).sort("created_at").collect()
        found = Judged(period, drift.answer, drift.p_value)
        earlier = [Judged(*row) for row in kept.select("period", "answer", "p_value").iter_rows()]
        said = verdict(earlier, found)
        key = {"period": period, "model_sha256": model, "data_version": data_version.name}
        row = {
            **key,
            "model_version": model_version,
            "answer": drift.answer,
            "p_value": drift.p_value,
            "episode": said.episode,
            "retrain": said.retrain,
            "report": json.dumps(drift.to_json(), allow_nan=False),
            "created_at": now,
        }
        if not kept.height or not _same(kept.filter(**key), row):
            lake.append(TABLE, pl.DataFrame([row], schema=DRIFT_SCHEMA))
    before = (
        kept.filter(pl.col("period") < period).unique("period", keep="last").sort("period", descending=True)
    )
    history = before.head(HISTORY).select(_TOLD).to_dicts()
    told = {name: row[name] for name in (*_TOLD, "p_value", "data_version")}
    report = told | {
        "created_at": now.isoformat(),
        "false_alarms": MEASURED_FALSE_ALARMS,
        "report": drift.to_json(),
        "history": history,
    }
    store.put_report(DRIFT, json.dumps(report, allow_nan=False).encode())
    return said


def tell_of_picture(store: ModelStore, said: str) -> None:
    """Add to the newest verdict in the store whether its picture is there: `ml.model_store.DRAWN`, or why not.

    Raises:
        StoreUnavailable: It cannot be read or written.
    """
    kept = store.report(DRIFT)
    if kept is not None:
        store.put_report(DRIFT, json.dumps(json.loads(kept) | {"picture": said}).encode())


def _same(kept: pl.DataFrame, row: dict[str, Any]) -> bool:
    """Whether the newest row with this key says what `row` says."""
    compared = ("answer", "episode", "retrain")
    return bool(kept.height) and all(kept.row(-1, named=True)[name] == row[name] for name in compared)
