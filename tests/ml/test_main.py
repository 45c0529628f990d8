"""The command line as a person and a workflow meet it: JSON, exit codes, one sentence when refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ml.__main__ import check_of, main
from ml.errors import BadEvents, NotEnoughHistory
from ml.settings import MlSettings
from tests.scripts.running_demo import as_a_shell_tells_it

ROOT = Path(__file__).parents[2]


class Shell:
    """Runs verbs in this process, on a state folder of their own."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state, self._capsys = state, capsys

    def __call__(self, *arguments: str) -> tuple[int, Any, str]:
        """Exit code, the JSON on stdout, and stderr."""
        code = main(["--log-level", "warning", *arguments])
        out, err = self._capsys.readouterr()
        return code, json.loads(out) if out else None, err


@pytest.fixture
def shell(
    tmp_path: Path,
    new_state: Callable[[Path], MlSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    state = new_state(tmp_path / "state").state
    monkeypatch.setenv("ML_STATE", str(state))
    return Shell(state, capsys)


@pytest.fixture
def with_panel(shell: Shell, tmp_path: Path) -> Shell:
    """A small shop that was ingested and has a panel of 13 months."""
    made = shell("synthesize", "--out", str(tmp_path / "events"), "--products", "40", "--months", "13")
    taken = shell("ingest", "--events", str(tmp_path / "events"))
    assert (made[0], taken[0]) == (0, 0)
    assert taken[1]["accepted"] == made[1]["events"]
    assert shell("panel")[1]["last_month"] == "2026-10"
    return shell


def process(*arguments: str, state: Path, **changes: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "ML_STATE": str(state), **changes}
    command = [sys.executable, "-m", "ml", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_whole_life_of_a_model(with_panel: Shell, tmp_path: Path) -> None:
    served, broken = tmp_path / "served", f"model/2026-09.aa/{time.time_ns()}-broken.jsonl"
    (served / broken).parent.mkdir(parents=True)
    (served / broken).write_text("{")
    assert with_panel("quality", "--as-of", "newest")[0] == 0
    shares = [with_panel("fit", "--share", share, "--until", "2026-09") for share in ("1/2", "2/2", "2/2")]
    assert [code for code, *_ in shares] == [0, 0, 0]
    assert all(report["made"] == report["fits"] > 20 for _, report, _ in shares[:2])
    assert shares[2][1] == shares[1][1] | {"made": 0}
    code, trained, _ = with_panel("train", "--until", "2026-09", "--candidate", "ses")
    assert code == (0 if trained["promotable"] else 1)
    assert (trained["version"], trained["candidate"], trained["outcome"]) == (1, "ses", "forced")
    assert {row["candidate"] for row in trained["benchmark"]} >= {"naive", "ma3", "mix", "seed_recipe"}
    assert with_panel("forecast")[1]["check"] == "model-not-found"
    assert with_panel("models", "--champion", "1")[1]["versions"][0]["aliases"] == ["challenger", "champion"]
    code, written, _ = with_panel("forecast", "--until", "2026-09")
    assert (code, written["month"], written["model_version"]) == (0, "2026-10", 1)
    assert with_panel("forecast")[1]["month"] == "2026-11"
    code, evaluated, _ = with_panel("evaluate")
    assert (code, [month["month"] for month in evaluated["months"]]) == (0, ["2026-10"])
    assert [(month["month"], month["estimate"]) for month in evaluated["open"]] == [("2026-11", True)]
    newest = datetime.fromisoformat(evaluated["newest_event_at"])
    assert f"{newest:%Y-%m}" == "2026-11"
    kept = json.loads((with_panel.state / "models/reports/evaluation.json").read_text())
    assert {name: kept[name] for name in evaluated} == evaluated
    code, judged, _ = with_panel("drift", "--multiply-units", "5", "--served", str(served))
    assert judged["live_requests"] == {"weeks": [], "unreadable": 1}
    assert (code, judged["answer"], judged["month"], judged["model_version"]) == (1, "drift", "2026-10", 1)
    assert "retrain" not in judged, "a what-if is not kept"
    _draws(with_panel)
    code, judged, _ = with_panel("drift")
    assert (judged["retrain"], judged["data_version"][:7]) == (False, "2026-10")
    assert with_panel("drift")[:2] == (code, judged)
    newest = json.loads((with_panel.state / "models/reports/drift.json").read_text())
    assert "picture" not in newest, "what is in the store is of an earlier run"
    code, worth, _ = with_panel("impact", "--served", str(served))
    assert worth["asked"]["unreadable"] == [broken]
    assert [month["month"] for month in worth["months"]] == ["2026-10"]
    total = worth["total"]
    avoided = total["naive"]["stock_out_units"] - total["forecast"]["stock_out_units"]
    assert [each["month"] for each in kept["impact"]] == ["2026-10", "all"]
    assert kept["impact"][-1]["stock_outs_avoided_units"] == pytest.approx(avoided)
    assert code == (0 if worth["total"]["avoided_cents"] >= 0 else 1)
    code, bundle, _ = with_panel("bundle", trained["sha256"])
    assert (code, bundle["manifest"]["candidate"]) == (0, "ses")
    _, refused, _ = with_panel("sign", trained["sha256"])
    assert (refused["check"], "ML_SIGNING_KEY_FILE" in refused["error"]) == ("store-unavailable", True)


def _draws(with_panel: Shell) -> None:
    """Evidently's picture is kept beside a verdict that is, which stands without it too."""
    picture, kept_picture = with_panel.state / "inputs.html", with_panel.state / "models/reports/drift.html"
    with_panel("drift", "--multiply-units", "5", "--report", str(picture))
    assert not kept_picture.exists(), "a what-if is not kept"
    code, judged, _ = with_panel("drift", "--report", str(picture))
    assert kept_picture.read_bytes() == picture.read_bytes()
    newest = with_panel.state / "models/reports/drift.json"
    assert (judged["picture"], json.loads(newest.read_text())["picture"]) == ("drawn", "drawn")
    again, said, _ = with_panel("drift", "--report", str(with_panel.state / "missing" / "inputs.html"))
    assert (again, said | {"picture": "drawn"}) == (code, judged), "the verdict stands without it"
    assert "No such file" in said["picture"]
    assert json.loads(newest.read_text())["picture"] == said["picture"]


def test_an_empty_inbox_is_drained_without_a_word(shell: Shell) -> None:
    code, report, _ = shell("ingest")
    assert (code, report["rows"], report["source"]) == (0, 0, "inbox")


@pytest.mark.parametrize(
    ("arguments", "check", "told"),
    [
        (["panel"], "not-enough-history", "ml ingest"),
        (["train"], "not-enough-history", "ml panel"),
        (["train", "--candidate", "oracle"], "not-enough-history", "ml panel"),
        (["evaluate"], "not-enough-history", "ml panel"),
        (["forecast"], "not-enough-history", "ml panel"),
        (["drift"], "not-enough-history", "ml panel"),
        (["impact"], "not-enough-history", "ml panel"),
        (["models", "--champion", "7"], "model-not-found", "'7'"),
        (["bundle", "abc"], "model-not-found", "'abc'"),
        (["bundle", "0" * 64], "model-not-found", "0" * 64),
        (["sign", "0" * 64], "model-not-found", "0" * 64),
        (["ingest", "--events", "no-such-file.parquet"], "unreadable-file", "no-such-file.parquet"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_1(
    shell: Shell, arguments: list[str], check: str, told: str
) -> None:
    code, answer, err = shell(*arguments)
    assert (code, answer["check"]) == (1, check)
    assert told in answer["error"]
    assert err.splitlines() == [answer["error"]]


def test_a_setting_that_makes_no_sense_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_LATENESS_DAYS", "soon")
    code, answer, _ = shell("panel")
    assert (code, answer["check"]) == (1, "bad-setting")
    assert answer["error"].startswith("ML_LATENESS_DAYS is 'soon'")


def test_a_place_that_cannot_be_written_is_a_refusal(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, answer, _ = shell("synthesize", "--out", str(tmp_path / "file" / "events"), "--months", "1")
    assert (code, answer["check"]) == (1, "place")
    assert str(tmp_path / "file") in answer["error"]


def test_a_defect_is_exit_70_with_its_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("ml.verbs.panel.build_panel", broken)
    code, answer, err = shell("panel")
    assert (code, answer) == (70, None)
    assert "RuntimeError: a defect" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["--log-level", "loud", "panel"],
        ["train", "--until", "2026-13"],
        ["train", "--until", "last month"],
        ["models", "--champion", "0"],
        ["models", "--champion", "latest"],
        ["ingest", "--map", "price"],
        ["synthesize", "--out", "x", "--end", "tomorrow"],
        ["synthesize", "--out", "x", "--shift", "much:2026-01"],
        ["drift", "--multiply-units", "nan"],
        ["drift", "--multiply-units", "-1"],
        ["bundle"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_exit_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_refusal_is_named_by_its_check_or_its_kind() -> None:
    assert check_of(BadEvents("future-dates", "")) == "future-dates"
    assert check_of(NotEnoughHistory("")) == "not-enough-history"


def test_help_teaches_and_is_quick(tmp_path: Path) -> None:
    """Quick by not loading anything: neither numpy nor pydantic for a text."""
    began = time.process_time()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ml", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.process_time() - began < 5
    assert "python -m ml ingest --events" in done.stdout
    assert "70" in done.stdout
    assert not {"numpy", "pydantic", "polars", "mlflow"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }


def test_stdout_is_one_json_object_and_stderr_json_lines(tmp_path: Path) -> None:
    made = process(
        "synthesize", "--out", str(tmp_path / "e"), "--products", "5", "--months", "3", state=tmp_path
    )
    made.communicate()
    out, err = process("ingest", "--events", str(tmp_path / "e"), state=tmp_path).communicate()
    assert json.loads(out)["rows"] > 0
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["ingested"]


@pytest.fixture
def training(shell: Shell, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    shell("synthesize", "--out", str(tmp_path / "e"), "--products", "60", "--months", "24")
    shell("ingest", "--events", str(tmp_path / "e"))
    shell("panel")
    running = process("train", "--allow-failed-quality", "not judged", state=shell.state)
    yield running
    running.kill()
    running.communicate()


def test_ctrl_c_ends_training_with_one_line(training: subprocess.Popen[str], shell: Shell) -> None:
    assert training.stderr is not None
    line = training.stderr.readline()
    assert json.loads(line)["event"] == "history_loaded"
    training.send_signal(signal.SIGINT)
    out, err = training.communicate(timeout=60)
    assert (as_a_shell_tells_it(training.returncode), out) == (130, "")
    assert err.splitlines() == ["interrupted; nothing half-done is kept, run the same command again"]
    assert not (shell.state / "models").exists()
