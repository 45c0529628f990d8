"""DuckDB adds the events up again, and names what a panel has otherwise."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from ml.errors import NotEnoughHistory
from ml.lake import Lake
from ml.panel import build_panel
from ml.panel_check import SHOWN, check_totals
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Built, with a purchase that was taken back, one without an order and a view of a product nobody bought."""
    lake = Lake(tmp_path / "lake")
    extra = [
        row(event_time=datetime(2026, 9, 2, tzinfo=UTC)),
        row(order_id=None, customer_id=None, event_time=datetime(2026, 7, 31, 23, 30, tzinfo=UTC)),
        row(quantity=77, order_id="gone", event_time=datetime(2026, 6, 7, 8, tzinfo=UTC)),
        row(quantity=-77, order_id="gone", event_time=datetime(2026, 6, 7, 9, tzinfo=UTC)),
    ]
    take(write(tmp_path / "shop.parquet", [*good_rows(), *extra]), lake)
    assert sum(build_panel(lake, SETTINGS, NOW).set_aside.values()) == 2
    return lake


def change(lake: Lake, how: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    lake.overwrite("panel", how(lake.read("panel").sort("product_id", "month").collect()))


def test_a_panel_of_these_events_passes(lake: Lake) -> None:
    found = check_totals(lake, SETTINGS)
    assert (found.rows, found.differing, found.first) == (9, 0, [])


@pytest.mark.parametrize("total", ["units", "revenue_cents", "orders", "buyers"])
def test_a_total_that_differs_is_named_with_both_numbers(lake: Lake, total: str) -> None:
    wrong = pl.when((pl.col("product_id") == "B") & (pl.col("month") == date(2026, 7, 1)))
    change(
        lake,
        lambda panel: panel.with_columns(wrong.then(pl.col(total) + 1).otherwise(pl.col(total)).alias(total)),
    )
    found = check_totals(lake, SETTINGS)
    assert found.differing == 1
    (first,) = found.first
    assert (first["product_id"], first["month"]) == ("B", "2026-07")
    assert first[total] == [first[total][1] + 1, first[total][1]]


def test_a_row_that_only_one_side_has_is_named(lake: Lake) -> None:
    change(lake, lambda panel: panel.filter(pl.col("product_id") != "A"))
    found = check_totals(lake, SETTINGS)
    assert (found.differing, found.first[0]["units"]) == (3, [None, 6])
    change(lake, lambda panel: panel.with_columns(product_id=pl.lit("X") + pl.col("product_id")))
    found = check_totals(lake, SETTINGS)
    assert found.differing == 6 + 9
    assert len(found.first) == SHOWN


def test_events_that_came_after_the_panel_show(lake: Lake, tmp_path: Path) -> None:
    take(write(tmp_path / "late.parquet", [row(order_id="late")]), lake)
    found = check_totals(lake, SETTINGS)
    assert (found.differing, found.first[0]["month"], found.events_version) == (1, "2026-06", 1)


def test_a_lake_without_a_panel_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughHistory, match="run `python -m ml panel` first"):
        check_totals(Lake(tmp_path / "lake"), SETTINGS)
