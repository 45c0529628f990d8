"""Verdicts at rest: one row per period however often it is judged, and a report that tells the ones before it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.columns import DRIFT_SCHEMA
from ml.data_version import DataVersion
from ml.drift.forecast_drift import DriftReport
from ml.drift.input_drift import InputDrift
from ml.drift.judging import Drift
from ml.drift.record import TABLE, keep
from ml.drift.residual_drift import Chart, ResidualDrift
from ml.drift.verdict import Answer, Verdict
from ml.lake import Lake
from ml.model_store import DRIFT, ModelStore

NOW = datetime(2026, 11, 5, tzinfo=UTC)
VERSION = DataVersion("2026-10.0123456789ab", "0" * 64, "2026-10")


def drift(month: str, inputs: Answer) -> Drift:
    charts = (Chart("errors grew", 0.1, 0.0, 2.0),)
    return Drift(
        DriftReport("no drift", "as usual", month, "a" * 64, 8),
        InputDrift(inputs, f"said {inputs}", f"{month}-01", 30, 0.005),
        ResidualDrift("no drift", "as usual", f"{month}-01", 6, 2, charts),
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def kept(found: Drift, lake: Lake, store: ModelStore, minute: int) -> Verdict:
    now = NOW + timedelta(minutes=minute)
    return keep(found, lake, store, model_version=3, data_version=VERSION, now=now)


def test_the_second_month_of_drift_asks_for_a_retrain_and_asks_again_when_it_is_repeated(
    lake: Lake, store: ModelStore
) -> None:
    assert store.report(DRIFT) is None
    assert not kept(drift("2026-09", "drift"), lake, store, 0).retrain
    first = kept(drift("2026-10", "drift"), lake, store, 1)
    version = lake.version(TABLE)
    again = kept(drift("2026-10", "drift"), lake, store, 2)
    assert first == again == Verdict("drift", "2026-10", retrain=True)
    assert lake.version(TABLE) == version
    assert not kept(drift("2026-11", "drift"), lake, store, 3).retrain


def test_rows_have_the_tables_columns_and_the_report_has_the_verdicts_before_it(
    lake: Lake, store: ModelStore
) -> None:
    for minute, (month, answer) in enumerate((("2026-09", "no drift"), ("2026-10", "drift"))):
        kept(drift(month, answer), lake, store, minute)  # type: ignore[arg-type]
    rows = lake.read(TABLE).sort("period").collect()
    assert dict(rows.schema) == DRIFT_SCHEMA
    assert rows["answer"].to_list() == ["no drift", "drift"]
    assert json.loads(rows["report"][1])["parts"]["inputs"]["reason"] == "said drift"
    told = json.loads(store.report(DRIFT) or b"")
    assert (told["period"], told["answer"], told["report"]["reason"]) == ("2026-10", "drift", "said drift")
    assert [past["period"] for past in told["history"]] == ["2026-09"]


def test_a_month_that_is_judged_anew_with_another_answer_has_a_new_row_that_counts(
    lake: Lake, store: ModelStore
) -> None:
    kept(drift("2026-09", "drift"), lake, store, 0)
    kept(drift("2026-09", "no drift"), lake, store, 1)
    assert not kept(drift("2026-10", "drift"), lake, store, 2).retrain
    assert lake.read(TABLE).collect().height == 3


def test_the_leading_part_says_when_nothing_can_be_told() -> None:
    young = drift("2026-10", "no drift")
    unknown = replace(young, forecasts=replace(young.forecasts, answer="not enough data", reason="too young"))
    assert (unknown.answer, unknown.reason, unknown.p_value) == ("not enough data", "too young", 1.0)
