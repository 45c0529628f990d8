"""`python -m ml decide-backtest`: a file or the lake's own months, JSON, a picture, exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.__main__ import main
from ml.money.past_forecasts import PastForecasts
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


def test_the_file_of_a_backtest_is_replayed_with_its_panel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prices, past units and classes come from the panel, each from before its period; a model is picked by name."""
    panel, file = tmp_path / "panel.csv", tmp_path / "forecasts.parquet"
    rows = [
        (f"s{i}", f"2025-{t + 1:02d}-01", (7 * i + 5 * t) % 11, 3.0 + i) for i in range(8) for t in range(12)
    ]
    pl.DataFrame(rows, ["series_id", "period", "quantity", "price"], orient="row").write_csv(panel)
    assert main(["backtest", "--panel", str(panel), "--out", str(file), "--all", "--origins", "3"]) == 0
    capsys.readouterr()
    replayed = ["decide-backtest", "--forecasts", str(file), "--panel", str(panel)]
    code = main([*replayed, "--candidate", "ses"])
    told = json.loads(capsys.readouterr().out)
    assert code == (0 if told["ours_is_best"] else 1)
    assert told["periods"] == ["2025-10-01", "2025-11-01", "2025-12-01"]
    assert told["margins"][0]["policies"]["perfect"]["share_of_perfect_money"] == 1.0
    assert sum(part["rows"] for part in told["margins"][0]["classes"].values()) == told["rows"]
    past = PastForecasts.read(file, panel, "ses")
    i = past.series.tolist().index("s1")
    own = [(7 + 5 * t) % 11 for t in range(9)]
    assert past.recent_mean[i] == pytest.approx(np.mean(own[next(t for t in range(9) if own[t]) :]))
    assert past.price[i] == 4.0
    assert main(replayed) == 1
    assert "keep one model's forecasts" in json.loads(capsys.readouterr().out)["error"]


def test_a_panel_of_other_periods_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world(4, 2).write_csv(tmp_path / "forecasts.csv")
    other = pl.DataFrame(
        {"series_id": ["a"] * 3, "period": ["2001-01", "2001-02", "2001-03"], "quantity": [1, 2, 3]}
    )
    other.write_csv(tmp_path / "panel.csv")
    options = ["--forecasts", str(tmp_path / "forecasts.csv"), "--panel", str(tmp_path / "panel.csv")]
    assert main(["decide-backtest", *options]) == 1
    assert "no period of the forecasts is in the panel" in json.loads(capsys.readouterr().out)["error"]


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
