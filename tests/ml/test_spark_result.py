"""A Spark job that ended well is not yet a panel: what it left must be whole, and of these events."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml.errors import PartsMissing
from ml.lake import Lake
from ml.months import shop_month
from ml.panel import build_panel, take_panel
from ml.panel_frame import condensed
from ml.panel_parts import write_part
from ml.spark_result import Bucket, SparkResult
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write

LAST = date(2026, 8, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    take(
        write(tmp_path / "a.parquet", [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]), lake
    )
    return lake


@pytest.fixture
def folder(tmp_path: Path, lake: Lake) -> Path:
    """What the job leaves, as it would in two buckets."""
    folder = tmp_path / "result"
    folder.mkdir()
    rows = condensed(
        lake.read("events").with_columns(shop_month(pl.col("occurred_at"), "UTC").alias("month"))
    )
    buckets = []
    for number, mine in enumerate((pl.col("product_id") == "A", pl.col("product_id") != "A")):
        counts = write_part(rows.filter(mine), folder / str(number), LAST, "UTC", ())
        buckets.append(Bucket(number, *counts))
    SparkResult(SparkResult.digest(lake.files("events")), LAST, tuple(buckets)).write(folder)
    return folder


def test_a_whole_result_becomes_the_panel_that_one_machine_builds(
    lake: Lake, folder: Path, tmp_path: Path
) -> None:
    taken = take_panel(lake, folder, NOW)
    by_spark = lake.read("panel").sort("product_id", "month").collect()
    assert build_panel(lake, SETTINGS, NOW) == taken
    assert lake.version("panel") == 0, "the same rows are not written again"
    assert_frame_equal(lake.read("panel").sort("product_id", "month").collect(), by_spark)


def test_a_job_that_did_not_finish_is_refused(lake: Lake, folder: Path) -> None:
    marker = folder / "result.json"
    for text in (marker.read_text()[:-5], "[]", json.dumps({"buckets": []})):
        marker.write_text(text)
        with pytest.raises(PartsMissing, match=r"no result\.json of a finished Spark job"):
            take_panel(lake, folder, NOW)
    marker.unlink()
    with pytest.raises(PartsMissing, match=r"no result\.json of a finished Spark job"):
        take_panel(lake, folder, NOW)
    assert not lake.exists("panel")


@pytest.mark.parametrize("name", ["panel", "aside"])
def test_a_bucket_without_the_rows_it_had_is_refused(lake: Lake, folder: Path, name: str) -> None:
    file = folder / "1" / f"{name}.parquet"
    frame = pl.read_parquet(file)
    file.unlink()
    with pytest.raises(PartsMissing, match="has None rows, the Spark job wrote"):
        take_panel(lake, folder, NOW)
    pl.concat([frame, frame.clear(1)]).write_parquet(file)
    with pytest.raises(
        PartsMissing, match=f"has {frame.height + 1} rows, the Spark job wrote {frame.height};"
    ):
        take_panel(lake, folder, NOW)


def test_a_result_of_other_events_is_refused(lake: Lake, folder: Path, tmp_path: Path) -> None:
    take(write(tmp_path / "late.parquet", [row(order_id="late")]), lake)
    with pytest.raises(PartsMissing, match="made from other events than the lake has now"):
        take_panel(lake, folder, NOW)
