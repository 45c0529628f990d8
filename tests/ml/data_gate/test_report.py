"""The gate's report is kept with the lake, and training asks for one on exactly the data that it learns from."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml.bundle import unpack
from ml.columns import QUALITY_SCHEMA
from ml.data_gate.check import Check
from ml.data_gate.gate import run_gate
from ml.data_gate.report import HISTORY, TABLE, Report, keep, of_version, required
from ml.errors import QualityGateFailed
from ml.lake import Lake
from ml.model_store import QUALITY, ModelStore
from ml.panel import build_panel
from ml.settings import MlSettings
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write

VERSION = "2026-05.0123456789ab"


def report(verdict: str = "pass", version: str | None = VERSION, minute: int = 0) -> Report:
    check = Check("volume", verdict, 2.5, 2.0, "too few", 1, ({"day": "2026-05-03", "events": 7},))  # type: ignore[arg-type]
    return Report(verdict, version, NOW, NOW + timedelta(minutes=minute), NOW, (check,))  # type: ignore[arg-type]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


@pytest.fixture
def filled(lake: Lake, tmp_path: Path) -> Lake:
    """A lake with three products over three months, and their panel."""
    take(write(tmp_path / "shop.parquet", good_rows()), lake)
    build_panel(lake, SETTINGS, NOW)
    return lake


def test_a_report_is_one_row_and_one_file_with_the_verdicts_before_it(lake: Lake, store: ModelStore) -> None:
    assert store.report(QUALITY) is None
    for minute, verdict in enumerate(("pass", "warn", "fail")):
        keep(report(verdict, minute=minute), lake, store)
    rows = lake.read(TABLE).sort("created_at").collect()
    assert dict(rows.schema) == QUALITY_SCHEMA
    assert rows["verdict"].to_list() == ["pass", "warn", "fail"]
    assert json.loads(rows["checks"][2])[0]["rows"] == [{"day": "2026-05-03", "events": 7}]
    told = json.loads(store.report(QUALITY) or b"")
    assert (told["verdict"], told["data_version"], told["checks"][0]["name"]) == ("fail", VERSION, "volume")
    assert [past["verdict"] for past in told["history"]] == ["warn", "pass"]
    assert HISTORY < 100


def test_the_newest_report_on_a_data_version_counts(lake: Lake, store: ModelStore) -> None:
    assert of_version(lake, VERSION) is None
    keep(report("fail"), lake, store)
    keep(report("pass", minute=1), lake, store)
    keep(report("fail", "2026-06.aaaaaaaaaaaa", minute=2), lake, store)
    found = required(lake, VERSION, None)
    assert (found["verdict"], found["failed"], found["override"]) == ("pass", [], None)


@pytest.mark.parametrize("verdict", ["fail", None])
def test_training_needs_a_yes_or_a_reason(lake: Lake, store: ModelStore, verdict: str | None) -> None:
    if verdict is not None:
        keep(report(verdict), lake, store)
    with pytest.raises(QualityGateFailed, match="volume" if verdict else "not run on data version 2026-05"):
        required(lake, VERSION, None)
    allowed = required(lake, VERSION, "a known strike")
    assert allowed["override"] == "a known strike"
    assert (allowed["verdict"], allowed["failed"]) == (("fail", ["volume"]) if verdict else ("not run", []))


def test_a_reason_that_was_not_needed_is_not_kept(lake: Lake, store: ModelStore) -> None:
    keep(report("warn"), lake, store)
    assert required(lake, VERSION, "just in case")["override"] is None


def test_the_gate_judges_the_lake_as_it_is(filled: Lake, tmp_path: Path) -> None:
    made = run_gate(filled, SETTINGS, now=NOW, as_of=None)
    verdicts = {check.name: check.verdict for check in made.checks}
    assert (verdicts["freshness"], verdicts["events_schema"], verdicts["panel_schema"]) == ("pass",) * 3
    assert verdicts["volume"] == "not enough data"
    assert made.passed
    stale = run_gate(filled, SETTINGS, now=NOW, as_of=NOW)
    assert (stale.verdict, stale.passed) == ("fail", False)
    assert made.data_version == stale.data_version is not None


def test_refused_rows_count_against_the_rows_of_the_same_days(filled: Lake, tmp_path: Path) -> None:
    """The lake's own history says how many rows came with them, whatever their times are."""
    bad = [row(product_id="A", quantity=0, order_id=f"bad-{i}") for i in range(6)]
    take(write(tmp_path / "more.parquet", [*bad, row(order_id="new")]), filled)
    (found,) = [c for c in run_gate(filled, SETTINGS, now=NOW, as_of=None).checks if c.name == "refused"]
    assert (found.verdict, found.count) == ("fail", 6)
    assert found.value == pytest.approx(6 / 16)
    assert found.rows == ({"reason": "quantity_not_positive", "source": "more.parquet", "refused": 6},)


def test_an_empty_lake_fails_and_the_report_can_still_be_kept(lake: Lake, store: ModelStore) -> None:
    made = run_gate(lake, SETTINGS, now=NOW, as_of=None)
    keep(made, lake, store)
    assert (made.verdict, made.data_version, made.newest_event) == ("fail", None, None)
    assert {check.name for check in made.checks if check.verdict == "fail"} == {"freshness", "panel_schema"}
    assert lake.read(TABLE).collect()["data_version"].to_list() == [None]


def test_rows_added_are_those_of_commits_since_then(lake: Lake) -> None:
    assert lake.rows_added("set_aside", datetime(2020, 1, 1, tzinfo=UTC)) == 0
    frame = pl.DataFrame({"event_id": ["a", "b"], "reason": ["x", "x"]})
    lake.append("set_aside", frame)
    lake.append("set_aside", frame.head(1))
    assert lake.rows_added("set_aside", datetime(2020, 1, 1, tzinfo=UTC)) == 3
    assert lake.rows_added("set_aside", datetime.now(UTC) + timedelta(days=1)) == 0


def test_train_refuses_without_a_yes_and_the_model_keeps_why_it_was_allowed(
    new_state: Callable[[Path], MlSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from ml.__main__ import main  # noqa: PLC0415 - MLflow is loaded for this test only
    from ml.registry import Registry  # noqa: PLC0415

    settings = new_state(tmp_path / "state")
    monkeypatch.setenv("ML_STATE", str(settings.state))

    def run(*arguments: str) -> tuple[int, dict[str, object]]:
        code = main([*arguments])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    run("synthesize", "--out", str(tmp_path / "events"), "--products", "8", "--months", "8")
    run("ingest", "--events", str(tmp_path / "events"))
    run("panel")
    code, refused = run("train", "--candidate", "ses")
    assert (code, refused["check"]) == (1, "quality-gate-failed")
    assert "--allow-failed-quality" in str(refused["error"])
    code, judged = run("quality", "--as-of", "2026-11-19")
    assert (code, judged["verdict"]) in {(0, "pass"), (0, "warn")}
    monkeypatch.setenv("ML_QUALITY_STALE_FAIL", "0.001")
    code, judged = run("quality", "--as-of", "2026-11-21")
    assert (code, judged["verdict"]) == (1, "fail")
    assert run("train", "--candidate", "ses")[1]["check"] == "quality-gate-failed"
    code, trained = run(
        "train", "--candidate", "ses", "--until", "2026-09", "--allow-failed-quality", "only old  data"
    )
    assert code in {0, 1}
    paper = json.loads(Registry(settings).artifact(1, "data_quality.json"))["gate"]
    assert (paper["verdict"], paper["failed"], paper["override"]) == ("fail", ["freshness"], "only old data")
    sha256 = str(trained["sha256"])
    bundle = unpack(ModelStore(settings.model_store).get_bundle(sha256), sha256)
    assert bundle.manifest.quality_override == "only old data"
    assert "only old data" in bundle.card
