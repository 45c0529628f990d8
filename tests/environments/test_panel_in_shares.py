"""The workflow that makes a panel by several pods: its commands, run here as they stand there, make the same panel."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from ml import __main__ as command
from ml.lake import Lake
from ml.panel import build_panel
from ml.settings import MlSettings
from tests.environments.test_workflows import argv, parameters, spec
from tests.ml.small_shop import good_rows, row, take, write


def tasks() -> list[dict[str, Any]]:
    (entry,) = (each for each in spec("retrain")["templates"] if each["name"] == "backfill")
    found: list[dict[str, Any]] = entry["dag"]["tasks"]
    return found


def test_every_share_is_a_pod_and_waits_for_all_of_the_step_before() -> None:
    for task in tasks():
        if task["name"] in ("split", "sum-up"):
            assert task["withSequence"] == {"start": "1", "count": "{{workflow.parameters.shares}}"}
            assert task["arguments"]["parameters"] == [{"name": "share", "value": "{{item}}"}]
        else:
            assert "withSequence" not in task
    assert int(parameters("retrain")["shares"]) > 1


def test_the_steps_as_they_stand_there_make_the_panel_of_a_single_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]
    settings = MlSettings(state=tmp_path / "shared")
    lake, alone = Lake(settings.lake), Lake(tmp_path / "alone")
    for each in (lake, alone):
        take(write(tmp_path / "shop.parquet", rows), each, settings=settings)
    expected = build_panel(alone, settings, datetime.now(UTC))
    monkeypatch.setenv("ML_STATE", str(settings.state))
    last: dict[str, Any] = {}
    for task in tasks():
        for place in range(1, 4) if "withSequence" in task else [1]:
            module, arguments = argv(("retrain", task["template"]), share=str(place), shares="3")
            assert module == "ml"
            assert command.main(["--log-level", "error", *arguments]) == 0
            last = json.loads(capsys.readouterr().out)
    assert last == json.loads(json.dumps(expected.to_json()))
    one, other = (each.read("panel").sort("product_id", "month").collect() for each in (lake, alone))
    assert_frame_equal(one, other, check_exact=True)
    module, arguments = argv(("retrain", "merge"))
    take(write(tmp_path / "late.parquet", [row(order_id="late")]), lake, settings=settings)
    assert command.main(["--log-level", "error", *arguments]) == 1, (
        "a share that was not made again is missing"
    )
