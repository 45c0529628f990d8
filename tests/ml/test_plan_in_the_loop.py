"""From a planner's file to a served answer: import, train, forecast and evaluate with the plan of the lake."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.__main__ import main
from ml.bundle import Bundle, unpack
from ml.forecast_table import publish
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.models import CANDIDATES
from ml.panel import history_of, load_history
from ml.registry import Registry
from ml.settings import MlSettings
from ml.snapshot import Snapshot
from ml.training import train

Verb = Callable[..., tuple[int, dict[str, Any]]]
NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def settings(
    tmp_path: Path, new_state: Callable[[Path], MlSettings], monkeypatch: pytest.MonkeyPatch
) -> MlSettings:
    made = new_state(tmp_path / "state")
    monkeypatch.setenv("ML_STATE", str(made.state))
    return made


@pytest.fixture
def verb(settings: MlSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs a verb on a shop of 30 products and 14 months: exit code, JSON of stdout."""

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = main(["--log-level", "warning", *arguments])
        return code, json.loads(capsys.readouterr().out)

    run("synthesize", "--out", str(tmp_path / "events"), "--products", "30", "--months", "14")
    run("ingest", "--events", str(tmp_path / "events"))
    assert run("panel")[1]["last_month"] == "2026-10"
    assert settings.lake.exists()
    return run


def plan_of(lake: Lake, folder: Path) -> Path:
    """Past months as they were sold, every second one promoted, and November at half the price."""
    panel = lake.read("panel", ["product_id", "month", "mean_price_cents"]).collect()
    past = panel.select(
        "product_id",
        pl.col("month").dt.strftime("%Y-%m"),
        pl.col("mean_price_cents").alias("price_cents"),
        (pl.col("month").dt.month() % 2).cast(pl.Float64).alias("promotion"),
    )
    coming = panel.group_by("product_id").agg(
        pl.lit("2026-11").alias("month"), pl.col("mean_price_cents").mean().alias("price_cents") / 2
    )
    file = folder / "plan.csv"
    pl.concat([past, coming.with_columns(promotion=1.0)]).sort("product_id", "month").write_csv(file)
    return file


def trained(lake: Lake, settings: MlSettings) -> Bundle:
    quick = {name: CANDIDATES[name] for name in ("naive", "lightgbm_tweedie")}
    store = ModelStore(settings.model_store)
    report = train(
        load_history(lake), Registry(settings), store, seed=1, candidates=quick, forced="lightgbm_tweedie"
    )
    return unpack(store.get_bundle(report.sha256), report.sha256)


def test_a_plan_is_imported_learned_from_and_served(verb: Verb, settings: MlSettings, tmp_path: Path) -> None:
    lake, store = Lake(settings.lake), ModelStore(settings.model_store)
    file = plan_of(lake, tmp_path)
    code, report = verb("plan", str(file))
    assert (code, report["next_month"], list(report["refused"])) == (0, "2026-11", ["month_over"])
    assert report["planned_for_next_month"] == report["accepted"] == load_history(lake).n
    code, whole = verb("plan", "--past", str(file))
    assert (code, whole["refused"]) == (0, {})
    assert whole["changed"] == whole["rows"] - report["accepted"], "those of November are there already"

    bundle = trained(lake, settings)
    assert bundle.manifest.planned
    assert bundle.manifest.data_version == whole["data_version"]
    assert bundle.predictor.response is not None
    history = load_history(lake)
    published = publish(lake, store, bundle, history, model_version=1, now=NOW)
    assert published.data_version == whole["data_version"]
    _, data = store.newest_snapshot(bundle.sha256)
    answers = [json.loads(answer) for answer in Snapshot.from_bytes(data, bundle.sha256).answers.values()]
    assert all(answer["plan"]["used"] and answer["plan"]["promotion"] == 1.0 for answer in answers)
    assert verb("evaluate")[1]["months"] == []


def test_without_a_plan_the_loop_has_the_bytes_of_before(
    verb: Verb, settings: MlSettings, tmp_path: Path
) -> None:
    """A table that says nothing of the months there are is as good as none."""
    lake = Lake(settings.lake)
    plain = history_of(lake.read("panel").sort("product_id", "month").collect())
    before = trained(lake, settings)
    file = tmp_path / "later.csv"
    file.write_text(f"product,month,price\n{plain.product_ids[0]},2027-03,5\n")
    assert verb("plan", str(file))[0] == 0
    after = trained(lake, settings)
    assert after.sha256 == before.sha256
    assert not after.manifest.planned
    assert load_history(lake).units.tobytes() == plain.units.tobytes()


def test_a_file_without_one_usable_row_is_a_no(verb: Verb, tmp_path: Path) -> None:
    file = tmp_path / "plan.csv"
    file.write_text("product,month,price\nnobody,2026-11,5\n")
    code, report = verb("plan", str(file))
    assert (code, report["accepted"], report["refused"]) == (1, 0, {"unknown_product": 1})
    file.write_text("product,month\n")
    assert verb("plan", str(file))[1]["check"] == "empty-file"
