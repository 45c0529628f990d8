"""`benchmarks.impact`: forecasts know nothing of their month; its numbers are those of the report and of plain sums."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from benchmarks.impact import SETS, TOLD, Shop, made_up, measured, sampled
from ml.lake import Lake
from tests.repository.imports import ROOT

SMALL = made_up(products=10, months=14)
WAPES = """
    SELECT f.month, sum(abs(p.units - f.mean)) / sum(p.units), sum(abs(p.units - f.last_month_units)) / sum(p.units),
        sum(abs(p.units - coalesce(y.units, f.last_month_units))) / sum(p.units)
    FROM forecasts f JOIN panel p ON p.product_id = f.product_id AND strftime(p.month, '%Y-%m') = f.month
    LEFT JOIN panel y ON y.product_id = f.product_id AND y.month + INTERVAL 1 YEAR = p.month
    GROUP BY f.month ORDER BY f.month
"""


@pytest.fixture(scope="module", name="state")
def _state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("shop")
    return folder / "state", measured(SMALL, folder, 2)


def test_its_numbers_are_those_of_the_report(state: tuple[Path, dict[str, Any]]) -> None:
    folder, found = state
    variables = os.environ | {"ML_STATE": str(folder), "ML_SHOP_ZONE": SMALL.zone}
    command = [sys.executable, "-m", "ml", "impact"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert [month["month"] for month in found["months"]] == ["2026-09", "2026-10"]
    for name in TOLD:
        assert found["total"][name] == report["total"][name]
        assert [month[name] for month in found["months"]] == [month[name] for month in report["months"]]


def test_errors_are_plain_sums_beside_last_month_and_the_month_a_year_ago(
    state: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = state
    lake = Lake(folder / "lake")
    forecasts, panel = (lake.read(name).collect() for name in ("forecasts", "panel"))
    assert (forecasts.height, panel.height) > (10, 100)
    with duckdb.connect() as db:
        for name, frame in (("forecasts", forecasts), ("panel", panel)):
            db.register(name, frame.to_arrow())
        rows = db.execute(WAPES).fetchall()
    assert len(rows) == len(found["months"]) == 2
    for row, month, year_ago in zip(rows, found["months"], found["year_ago"]["months"], strict=True):
        told = month["month"], month["wape"], month["naive_wape"], year_ago["naive_wape"]
        assert told == (row[0], *map(pytest.approx, row[1:]))


def test_a_month_is_forecast_from_the_months_before_it(state: tuple[Path, dict[str, Any]]) -> None:
    folder, found = state
    forecasts = Lake(folder / "lake").read("forecasts").select("month", "data_version").unique().collect()
    known = {month: version[:7] for month, version in forecasts.iter_rows()}
    assert known == {"2026-09": "2026-08", "2026-10": "2026-09"}
    assert found["months"][0]["version"] == 1


def test_a_month_that_is_not_whole_ends_the_run(tmp_path: Path) -> None:
    """The running month, which has 20 days of events, for the last one."""
    earlier = pl.col("event_time").dt.offset_by("-1mo")
    shop = replace(SMALL, events=SMALL.events.with_columns(earlier), last=date(2026, 10, 1))
    with pytest.raises(RuntimeError, match="2026-10 was to be its last month"):
        measured(shop, tmp_path, 0)


def test_products_are_drawn_whole_and_alike() -> None:
    events = pl.DataFrame({"product_id": [name for i in range(9) for name in (f"A{i}", f"a{i}")]})
    shop = Shop("x", events, "UTC", date(2026, 1, 1))
    drawn = sampled(shop, 3).events
    assert drawn.equals(sampled(shop, 3).events)
    assert drawn["product_id"].str.to_uppercase().value_counts()["count"].to_list() == [2, 2, 2]
    assert sampled(shop, 0).events.equals(events)


@pytest.mark.parametrize("name", [name for name in SETS if name != "made-up"])
def test_a_set_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=rf"{name}.*is not there.*--data"):
        SETS[name](tmp_path)
