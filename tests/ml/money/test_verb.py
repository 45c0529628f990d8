"""`python -m ml decide-backtest`: a file or the lake's own months, JSON, a picture, exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.__main__ import main
from ml.settings import MlSettings
from tests.ml.money.test_replay import world


def test_a_file_of_forecasts_is_judged_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world().write_csv(tmp_path / "forecasts.csv")
    code = main(
        ["decide-backtest", "--forecasts", str(tmp_path / "forecasts.csv"), "--out", str(tmp_path / "o")]
    )
    told = json.loads(capsys.readouterr().out)
    assert (code, told["ours_is_best"]) == (0, True)
    assert json.loads((tmp_path / "o" / "money.json").read_text()) == told
    assert (tmp_path / "o" / "money.png").read_bytes().startswith(b"\x89PNG")


def test_another_rule_that_earns_more_is_a_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = world()
    wrong = frame.with_columns([frame[name] * 0.1 for name in frame.columns if name.startswith("q")])
    wrong.write_csv(tmp_path / "forecasts.csv")
    assert main(["decide-backtest", "--forecasts", str(tmp_path / "forecasts.csv")]) == 1
    assert json.loads(capsys.readouterr().out)["ours_is_best"] is False


def test_without_a_file_the_shops_own_months_are_forecast(
    tmp_path: Path,
    new_state: Callable[[Path], MlSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ML_STATE", str(new_state(tmp_path / "state").state))
    events = str(tmp_path / "events")
    assert main(["synthesize", "--out", events, "--products", "30", "--months", "13"]) == 0
    assert main(["ingest", "--events", events]) == 0
    assert main(["panel"]) == 0
    capsys.readouterr()
    code = main(["decide-backtest", "--candidate", "ses"])
    told = json.loads(capsys.readouterr().out)
    assert code == (0 if told["ours_is_best"] else 1)
    assert told["periods"][-1] == "2026-10"
    assert main(["decide-backtest", "--candidate", "oracle"]) == 1
    assert "'oracle'" in json.loads(capsys.readouterr().out)["error"]
