"""The panel ends with the last complete month, has a version, and can be read as of any month."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.columns import PANEL_SCHEMA
from ml.errors import NotEnoughHistory, QualityGateFailed
from ml.history import EXTRA
from ml.lake import Lake
from ml.months import last_complete_month
from ml.panel import build_panel, data_version_of, load_history
from ml.panel_frame import panel_of_condensed
from ml.settings import MlSettings
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The good rows, and one purchase on 2 September, so that August is complete."""
    lake = Lake(tmp_path / "lake")
    take(
        write(tmp_path / "shop.parquet", [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]),
        lake,
    )
    return lake


def complete(newest: datetime, now: datetime, **changes: int) -> date:
    settings = MlSettings(shop_zone="Europe/Istanbul", **changes)  # type: ignore[arg-type]
    return last_complete_month(newest, settings, now)


END_OF_AUGUST = datetime(2026, 8, 31, 21, tzinfo=UTC)
"""Midnight in Istanbul."""


@pytest.mark.parametrize(
    ("newest", "now", "month"),
    [
        (END_OF_AUGUST - timedelta(days=2), END_OF_AUGUST + timedelta(days=3), 8),
        (END_OF_AUGUST - timedelta(days=2, seconds=1), END_OF_AUGUST + timedelta(days=3), 7),
        (END_OF_AUGUST - timedelta(days=2), END_OF_AUGUST + timedelta(days=3, seconds=-1), 7),
        (END_OF_AUGUST + timedelta(days=9), END_OF_AUGUST + timedelta(days=9), 8),
        (END_OF_AUGUST + timedelta(days=1), END_OF_AUGUST + timedelta(days=1), 7),
        (END_OF_AUGUST - timedelta(days=30), END_OF_AUGUST + timedelta(days=900), 7),
    ],
    ids=["just", "newest too old", "too early", "running month", "two steps back", "stopped shop"],
)
def test_a_month_is_complete_when_its_end_was_seen_and_late_events_had_time(
    newest: datetime, now: datetime, month: int
) -> None:
    assert complete(newest, now) == date(2026, month, 1)


def test_the_limits_are_settings() -> None:
    assert complete(
        END_OF_AUGUST - timedelta(days=5), END_OF_AUGUST, last_day_tolerance_days=5, lateness_days=0
    ) == date(2026, 8, 1)


def test_the_report_says_what_was_built(lake: Lake) -> None:
    report = build_panel(lake, SETTINGS, NOW)
    assert (report.rows, report.products, report.first_month, report.last_month) == (
        9,
        3,
        "2026-06",
        "2026-08",
    )
    assert report.data_version.startswith("2026-08.")
    assert json.loads(json.dumps(report.to_json()))["data_version"] == report.data_version
    assert lake.read("panel").collect().schema == PANEL_SCHEMA


def test_the_same_events_build_the_same_panel_once(lake: Lake) -> None:
    first = build_panel(lake, SETTINGS, NOW)
    assert build_panel(lake, SETTINGS, NOW + timedelta(days=1)) == first
    assert lake.version("panel") == 0
    assert lake.read("data_versions").collect().height == 1


def test_the_version_names_the_delta_versions_it_was_built_from(lake: Lake, tmp_path: Path) -> None:
    first = build_panel(lake, SETTINGS, NOW)
    take(write(tmp_path / "more.parquet", [row(order_id="late")]), lake)
    second = build_panel(lake, SETTINGS, NOW)
    rows = lake.read("data_versions").sort("created_at", "tables").collect()
    assert dict(rows.select("name", "tables").iter_rows()) == {
        first.data_version: '{"events": 0, "panel": 0}',
        second.data_version: '{"events": 1, "panel": 1}',
    }
    assert rows["last_month"].to_list() == ["2026-08", "2026-08"]


def test_two_lakes_with_the_same_events_have_the_same_version(lake: Lake, tmp_path: Path) -> None:
    """In other files, another order and another number of steps."""
    other = Lake(tmp_path / "deep" / "other")
    rows = [*good_rows(), row(event_time=datetime(2026, 9, 2, tzinfo=UTC))]
    take(write(tmp_path / "a.parquet", rows[::-1][:7]), other)
    take(write(tmp_path / "b.parquet", rows), other)
    assert build_panel(other, SETTINGS, NOW).data_version == build_panel(lake, SETTINGS, NOW).data_version


def test_the_history_has_the_panels_numbers(lake: Lake, tmp_path: Path) -> None:
    later = row(product_id="D", event_time=datetime(2026, 7, 20, tzinfo=UTC), price=1.25, category="garden")
    take(write(tmp_path / "later.parquet", [later]), lake)
    build_panel(lake, SETTINGS, NOW)
    history = load_history(lake)
    assert history.product_ids == ("A", "B", "C", "D")
    assert history.categories == ("bags", "bags", "bags", "garden")
    assert [str(month) for month in history.months] == ["2026-06", "2026-07", "2026-08"]
    assert history.units[0].tolist() == [6, 7, 8]
    np.testing.assert_array_equal(history.units[3], [np.nan, 3, 0])
    np.testing.assert_array_equal(history.price_cents[3], [np.nan, 125, np.nan])
    assert set(history.extra) == set(EXTRA)
    assert history.extra["orders"][3].tolist() == [0, 1, 0]


def test_a_model_sees_a_return_in_the_month_it_came(lake: Lake, tmp_path: Path) -> None:
    """Booked in the month of the purchase, a return would tell a past origin about its future."""
    back = row(product_id="A", order_id="o-6-A", quantity=-2, event_time=datetime(2026, 8, 20, tzinfo=UTC))
    take(write(tmp_path / "back.parquet", [back]), lake)
    build_panel(lake, SETTINGS, NOW)
    assert load_history(lake).extra["returned_units"][0].tolist() == [0, 0, 2]
    panel = lake.read("panel").filter(pl.col("product_id") == "A").sort("month").collect()
    assert panel["returned_units"].to_list() == [2, 0, 0]


def test_a_history_until_a_month_has_no_trace_of_what_came_later(lake: Lake, tmp_path: Path) -> None:
    """Other categories, new products, returns and more months leave the version until July as it was."""
    build_panel(lake, SETTINGS, NOW)
    july = load_history(lake, "2026-07")
    assert [str(month) for month in july.months] == ["2026-06", "2026-07"]
    august = datetime(2026, 8, 20, tzinfo=UTC)
    changes = [
        row(product_id="A", category="renamed", event_time=august),
        row(product_id="NEW", event_time=august),
        row(product_id="A", order_id="o-6-A", quantity=-2, event_time=august),
    ]
    take(write(tmp_path / "later.parquet", changes), lake)
    build_panel(lake, SETTINGS, NOW)
    again = load_history(lake, "2026-07")
    assert data_version_of(again) == data_version_of(july)
    assert again.product_ids == ("A", "B", "C")
    assert load_history(lake).categories[0] == "renamed"
    assert data_version_of(load_history(lake).until(2)).name != data_version_of(july).name, (
        "the category moved on"
    )


def test_what_is_missing_is_said(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(NotEnoughHistory, match="no panel; run `python -m ml panel`"):
        load_history(lake)
    with pytest.raises(NotEnoughHistory, match="no events; run `python -m ml ingest` first"):
        build_panel(Lake(tmp_path / "empty"), SETTINGS, NOW)
    build_panel(lake, SETTINGS, NOW)
    for month in ("2026-09", "2026-05", "august", "2026-8"):
        with pytest.raises(
            NotEnoughHistory, match=f"month '{month}' is not in the panel, which has 2026-06 to 2026-08"
        ):
            load_history(lake, month)


def test_a_shop_whose_first_month_is_still_running_has_no_panel(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    rows = [good | {"event_time": NOW - timedelta(days=2)} for good in good_rows()]
    take(write(tmp_path / "shop.parquet", rows), lake, allow=frozenset({"one-month"}))
    with pytest.raises(NotEnoughHistory, match="no purchase up to the last complete month 2026-10"):
        build_panel(lake, SETTINGS, NOW)


def test_a_panel_that_breaks_a_rule_is_not_written(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate stands between the events and the table: a hole in the months, made by hand, stays out."""

    def with_a_hole(rows: pl.LazyFrame, last: date, zone: str) -> pl.DataFrame:
        return panel_of_condensed(rows, last, zone).filter(pl.col("month") != date(2026, 7, 1))

    monkeypatch.setattr("ml.panel_parts.panel_of_condensed", with_a_hole)
    with pytest.raises(
        QualityGateFailed, match="month_missing_or_twice in 3 of 6 rows, first product 'A' in 2026-08"
    ):
        build_panel(lake, SETTINGS, NOW)
    assert not lake.exists("panel")
