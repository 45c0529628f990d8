"""Real files, whole: every row is accepted, a duplicate, or refused for a counted reason.

The data lies beside the checkout or where SHARED_DATA points; where it is not, this module has no test.
"""

import os
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from ml.lake import Lake
from ml.panel import build_panel, load_history
from tests.ml.small_shop import NOW, SETTINGS, take

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
ZONES = {"online_retail_ii": "Europe/London", "olist": "America/Sao_Paulo"}
FOUND = [name for name in ZONES if (DATA / name / "events.parquet").exists()]

ACCEPTABLE = """
    CREATE TABLE acceptable AS SELECT * FROM source
    WHERE event_type IN ('purchase', 'return') AND category <> '_non_product' AND round(price * 100) >= 1
      AND event_time NOT BETWEEN TIMESTAMP '2016-01-01' AND TIMESTAMP '2016-11-01'
      AND event_time < TIMESTAMP '2020-01-01'
"""
"""What the README of each set says is an event of a product; olist has some days before a hole, and four rows
of 2020."""

COUNTS = """
    SELECT (SELECT count(*) FROM source), (SELECT count(*) FROM acceptable),
           (SELECT count(*) FROM (SELECT DISTINCT * FROM acceptable))
"""

SOLD = """
    SELECT strftime(event_time, '%Y-%m') AS month, CAST(sum(quantity) AS DOUBLE)
    FROM (SELECT DISTINCT * FROM acceptable WHERE event_type = 'purchase') GROUP BY month ORDER BY month
"""


def by_sql(file: Path) -> tuple[list[int], dict[str, float]]:
    """Rows, acceptable rows and distinct ones among these; units sold by month."""
    with duckdb.connect() as db:
        db.read_parquet(str(file)).create_view("source")
        db.execute(ACCEPTABLE)
        return list(db.execute(COUNTS).fetchall()[0]), dict(db.execute(SOLD).fetchall())


if FOUND:

    @pytest.mark.shared_data
    @pytest.mark.parametrize("name", FOUND)
    def test_a_real_file_goes_in_whole_and_its_panel_agrees_with_sql(tmp_path: Path, name: str) -> None:
        file, zone = DATA / name / "events.parquet", ZONES[name]
        settings, lake = SETTINGS.model_copy(update={"shop_zone": zone}), Lake(tmp_path / "lake")
        start = time.monotonic()
        report = take(file, lake, settings=settings, timezone=zone)
        seconds = time.monotonic() - start
        (total, candidates, distinct), sold = by_sql(file)
        assert report.rows == total
        assert (report.accepted, report.duplicate) == (distinct, candidates - distinct)
        assert report.accepted + report.duplicate + sum(report.refused.values()) == total
        assert seconds < 60, f"{total} rows took {seconds:.0f} s"
        panel = build_panel(lake, settings, NOW)
        history = load_history(lake)
        aside = lake.read("events").join(lake.read("set_aside"), on="event_id").collect()
        assert aside.height == sum(panel.set_aside.values())
        bought = (
            aside.filter(pl.col("event_type") == "purchase").group_by("event_month").agg(pl.sum("quantity"))
        )
        left_out = dict(bought.iter_rows())
        totals = dict(zip(map(str, history.months), np.nansum(history.units, axis=0).tolist(), strict=True))
        assert {month: units + left_out.get(month, 0) for month, units in totals.items()} == {
            month: sold[month] for month in sorted(sold)[:-1]
        }, "the last month of both files is not complete"
