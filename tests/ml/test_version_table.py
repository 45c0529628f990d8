"""A data version knows what it was made of, and what is lost of that."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.data_quality import data_quality
from ml.data_version import data_version_of
from ml.errors import UnknownDataVersion, VersionGone
from ml.lake import Lake
from ml.open_month import open_month
from ml.panel import build_panel, load_history, note_data_version, noted_history
from ml.stock import import_stock
from ml.version_table import READ_TABLES, mark_lost, named, notes
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write

LATER = NOW + timedelta(days=1)


def shop(folder: Path, **changes: Any) -> Lake:
    """The good rows with some columns changed, and one purchase on 2 September, so that August is complete."""
    lake = Lake(folder / "lake")
    newest = row(event_time=datetime(2026, 9, 2, tzinfo=UTC), order_id="newest")
    take(write(folder / "shop.parquet", [good | changes for good in [*good_rows(), newest]]), lake)
    return lake


def add_stock(lake: Lake, folder: Path) -> None:
    (folder / "stock.csv").write_text("product_id,month,days_out\nA,2026-07,20\n")
    import_stock(folder / "stock.csv", lake)


def test_every_table_that_a_run_reads_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, seen = shop(tmp_path), set[str]()
    add_stock(lake, tmp_path)
    read = Lake.read

    def watched(self: Lake, table: str, *arguments: Any, **options: Any) -> pl.LazyFrame:
        seen.add(table)
        return read(self, table, *arguments, **options)

    monkeypatch.setattr(Lake, "read", watched)
    build_panel(lake, SETTINGS, NOW)
    history = noted_history(lake, NOW)
    data_quality(lake)
    open_month(lake, history, SETTINGS)
    assert seen - {"data_versions", "unreproducible"} <= set(READ_TABLES)
    assert {"events", "panel", "stock", "set_aside", "quarantine"} <= seen
    assert set(notes(lake)[-1].tables) == {table for table in READ_TABLES if lake.exists(table)}


def test_a_cut_history_is_noted_when_it_is_learned_from(tmp_path: Path) -> None:
    lake = shop(tmp_path)
    build_panel(lake, SETTINGS, NOW)
    history = noted_history(lake, LATER, "2026-07")
    noted_history(lake, LATER, "2026-07")
    (july,) = [note for note in notes(lake) if note.last_month == "2026-07"]
    assert july.digest == data_version_of(history).digest


def test_a_lake_as_it_was_is_read_and_not_written(tmp_path: Path) -> None:
    lake = shop(tmp_path)
    report = build_panel(lake, SETTINGS, NOW)
    before = load_history(lake)
    note = named(lake, report.data_version)
    take(write(tmp_path / "more.parquet", [row(order_id="late", quantity=50)]), lake)
    add_stock(lake, tmp_path)
    assert build_panel(lake, SETTINGS, NOW).data_version != report.data_version
    then = lake.at(note.tables)
    assert data_version_of(load_history(then)) == data_version_of(before)
    assert (then.exists("stock"), then.version("events"), then.read("stock").collect().height) == (
        False,
        0,
        0,
    )
    with pytest.raises(ValueError, match="the lake as it was cannot be written"):
        then.overwrite("panel", then.read("panel").collect())


def test_a_version_without_its_files_says_so(tmp_path: Path) -> None:
    lake = shop(tmp_path)
    build_panel(lake, SETTINGS, NOW)
    lake.overwrite("panel", lake.read("panel").collect())
    lake.files("panel", 0)[0].unlink()
    with pytest.raises(VersionGone, match=r"version 0 of table 'panel' .* 1 of its files were removed"):
        lake.at({"panel": 0}).read("panel")
    assert lake.read("panel").collect().height == 9


def test_what_is_lost_is_noted_once_and_a_new_build_is_noted_again(tmp_path: Path) -> None:
    lake = shop(tmp_path)
    name = build_panel(lake, SETTINGS, NOW).data_version
    lost = [(named(lake, name), "events")]
    assert mark_lost(lake, lost, "erasure", NOW) == [name]
    assert mark_lost(lake, [(named(lake, name), "events")], "erasure", NOW) == []
    assert (named(lake, name).whole, named(lake, name).trainable) == (False, True)
    note_data_version(lake, LATER)
    assert len(notes(lake)) == 1, "it was read, not built: its events are still lost"
    lake.overwrite("events", lake.read("events").collect())
    build_panel(lake, SETTINGS, LATER)
    assert [note.whole for note in notes(lake)] == [False, True]
    assert named(lake, name).whole


def test_a_run_on_a_panel_whose_events_are_lost_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lake = shop(tmp_path)
    name = build_panel(lake, SETTINGS, NOW).data_version
    noted_history(lake, LATER)
    assert caplog.messages == []
    mark_lost(lake, [(named(lake, name), "events")], "erasure", NOW)
    noted_history(lake, LATER)
    (said,) = caplog.records
    assert (said.message, said.__dict__["lost"]) == ("data_version_lost", {"events": "erasure"})


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownDataVersion, match=r"no data version '2026-08\.0000'"):
        named(Lake(tmp_path / "lake"), "2026-08.0000")
