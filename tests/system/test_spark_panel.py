"""The Spark job on a cluster of two workers: the panel it leaves is that of every other engine, row by row."""

import json
import os
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml.lake import Lake
from ml.months import shop_month
from ml.outliers import learned_from, set_aside
from ml.panel import build_panel, take_panel
from ml.panel_frame import panel_of
from ml.settings import MlSettings
from ml.synthetic import make_events
from tests.ml.panel_sql import by_hand
from tests.ml.small_shop import NOW, row, take, write
from tests.repository.imports import ROOT

pytestmark = pytest.mark.system

LAST = date(2026, 10, 1)
CLUSTER = (
    "--master local-cluster[2,1,1024] --driver-memory 512m --conf spark.ui.enabled=false"
    " --conf spark.driver.host=127.0.0.1 --conf spark.driver.bindAddress=127.0.0.1"
    f" --conf spark.sql.shuffle.partitions=4 --conf spark.executorEnv.PYTHONPATH={ROOT} pyspark-shell"
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> MlSettings:
    """A shop of eight months with an entry error that was taken back and a giant order."""
    folder = tmp_path_factory.mktemp("spark")
    make_events(folder / "events", products=30, months=8)
    settings = MlSettings(state=folder)
    lake = Lake(settings.lake)
    take(folder / "events", lake, settings=settings)
    product = (
        lake.read("events").group_by("product_id").len().sort("len", "product_id").collect()["product_id"][-1]
    )
    odd = [
        row(
            event_id=f"odd-{i}",
            event_type=kind,
            product_id=product,
            quantity=units,
            order_id=f"odd-{i}",
            event_time=datetime(2026, 9, 20, 8 + i, tzinfo=UTC),
        )
        for i, (kind, units) in enumerate([("purchase", 70_000), ("return", 70_000), ("purchase", 90_000)])
    ]
    take(write(folder / "odd.parquet", odd), lake, settings=settings)
    return settings


@pytest.fixture(scope="module")
def result(state: MlSettings) -> Path:
    """What the job left."""
    out = state.state / "result"
    done = subprocess.run(
        [ROOT / ".venv/spark/bin/python", "-m", "ml.spark_panel", "--out", str(out), "--buckets", "5"],
        cwd=ROOT,
        env=os.environ
        | {
            "ML_STATE": str(state.state),
            "PYSPARK_PYTHON": str(ROOT / ".venv/spark/bin/python"),
            "PYSPARK_SUBMIT_ARGS": CLUSTER,
            "PYTHONPATH": str(ROOT),
            "SPARK_LOCAL_IP": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == json.loads((out / "result.json").read_text())
    return out


def test_spark_polars_and_duckdb_make_the_same_panel_row_by_row(state: MlSettings, result: Path) -> None:
    lake = Lake(state.lake)
    events = lake.read("events").collect()
    dated = events.lazy().with_columns(shop_month(pl.col("occurred_at"), state.shop_zone).alias("month"))
    aside = set_aside(dated)
    assert set(aside["reason"]) == {"cancelled_within_24_hours", "giant_order"}
    in_one_go = panel_of(learned_from(dated, aside), LAST, state.shop_zone)
    built = build_panel(lake, state, NOW)
    in_parts, aside_in_parts = _stored(lake)
    for table in ("panel", "set_aside"):
        lake.overwrite(table, lake.read(table).collect().clear())
    assert take_panel(lake, result, NOW) == built
    by_spark, aside_by_spark = _stored(lake)
    by_duckdb, aside_by_duckdb = by_hand(events, state.shop_zone, LAST)
    for found in (in_parts, by_spark, by_duckdb):
        assert_frame_equal(found, in_one_go, check_exact=True)
    for found in (aside_in_parts, aside_by_spark, aside_by_duckdb):
        assert_frame_equal(found, aside)


def test_the_work_was_shared(result: Path) -> None:
    marker: dict[str, Any] = json.loads((result / "result.json").read_text())
    assert len([each for each in marker["buckets"] if each["rows"]]) > 2


def _stored(lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    return (
        lake.read("panel").sort("product_id", "month").collect(),
        lake.read("set_aside").sort("event_id").collect(),
    )
