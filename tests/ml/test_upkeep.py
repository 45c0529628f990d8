"""Small files become large ones, and what a kept data version needs is never removed."""

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from ml import delta
from ml.data_version import data_version_of
from ml.erasure import erase
from ml.errors import UnknownDataVersion, VersionGone
from ml.event_store import Inbox
from ml.inbox_erasure import FileErasure
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.panel import build_panel, load_history
from ml.pseudonym import pseudonym
from ml.upkeep import compact, retain
from ml.version_table import Note, named
from tests.ml.small_shop import KEY, NOW, SETTINGS, content, row, take, write
from tests.ml.test_events import event
from tests.ml.test_version_table import shop


def many_small_files(folder: Path, files: int = 12) -> tuple[Lake, Inbox]:
    """One file a drain, in two months."""
    inbox, lake = Inbox(folder / "inbox.sqlite"), Lake(folder / "lake")
    for i in range(files):
        inbox.append([event(event_id=f"e-{i}", occurred_at=f"2026-0{6 + i % 2}-15T10:00:00Z")], "web")
        drain_inbox(inbox, lake, SETTINGS, now=NOW)
    return lake, inbox


def test_compaction_merges_files_and_changes_no_row(tmp_path: Path) -> None:
    lake, inbox = many_small_files(tmp_path)
    before, version = content(lake), lake.version("events") or 0
    (events,) = [each for each in compact(lake) if each.before != each.after]
    assert (events.table, events.before.files, events.after.files) == ("events", 12, 2)
    assert 0 < events.after.bytes < events.before.bytes
    assert [frame.to_dicts() for frame in content(lake)] == [frame.to_dicts() for frame in before]
    assert lake.read("events", version=version).collect().height == 12
    assert all(each.before == each.after for each in compact(lake))
    inbox.append([event(event_id="e-3"), event(event_id="new")], "web")
    assert drain_inbox(inbox, lake, SETTINGS, now=NOW).accepted == 1, "it still knows what it took"
    inbox.close()


def test_a_batch_that_a_compaction_overtook_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two machines: the compaction commits between what the drain read and what it writes."""
    lake, inbox = many_small_files(tmp_path, 4)
    inbox.append([event(event_id="late")], "web")
    append, overtaken = Lake.append, list[object]()

    def slow(self: Lake, table: str, *arguments: object, **options: object) -> None:
        if table == "events" and not overtaken:
            overtaken.append(compact(lake))  # its holder may take the lock again
        append(self, table, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "append", slow)
    assert drain_inbox(inbox, lake, SETTINGS, now=NOW).accepted == 1
    assert sorted(lake.read("events").collect()["event_id"]) == ["e-0", "e-1", "e-2", "e-3", "late"]
    assert overtaken
    inbox.close()


def two_versions(folder: Path) -> tuple[Lake, str, str]:
    """A lake with the names of its first data version and of its newest."""
    lake = shop(folder)
    first = build_panel(lake, SETTINGS, NOW).data_version
    take(write(folder / "more.parquet", [row(order_id="late", quantity=50)]), lake)
    second = build_panel(lake, SETTINGS, NOW).data_version
    compact(lake)
    return lake, first, second


def read_again(lake: Lake, note: Note) -> str:
    return data_version_of(load_history(lake.at(note.tables), note.last_month)).digest


def test_a_kept_data_version_stays_readable_byte_for_byte(tmp_path: Path) -> None:
    lake, first, _ = two_versions(tmp_path)
    note = named(lake, first)
    files = [file for table in note.tables for file in lake.files(table, note.tables[table])]
    before = {file: file.read_bytes() for file in files}
    report = retain(lake, [first], 0, NOW)
    assert {file: file.read_bytes() for file in files} == before
    assert read_again(lake, named(lake, first)) == note.digest
    assert build_panel_digest(lake.at(note.tables)) == note.digest
    assert report.kept == [first]
    assert named(lake, first).whole


def build_panel_digest(then: Lake) -> str:
    """Of a panel built in a new lake from the events as they were."""
    fresh = Lake(then.root.parent / "again")
    fresh.append("events", then.read("events").collect())
    build_panel(fresh, SETTINGS, NOW)
    return data_version_of(load_history(fresh)).digest


def test_what_an_erasure_took_of_a_kept_version_is_no_reason_to_stop(tmp_path: Path) -> None:
    lake, first, _ = two_versions(tmp_path)
    erase(lake, FileErasure(tmp_path / "no inbox"), [pseudonym("c-1", KEY.encode())], "UTC", NOW)
    report = retain(lake, [first], 0, NOW)
    assert (report.kept, report.lost) == ([first], [])
    note = named(lake, first)
    assert (note.whole, note.trainable, note.lost) == (False, True, {"events": "erasure"})
    assert read_again(lake, note) == note.digest


def test_what_is_not_kept_is_gone_with_a_clear_error(tmp_path: Path) -> None:
    lake, first, second = two_versions(tmp_path)
    report = retain(lake, [second], 0, NOW)
    assert report.lost == [first]
    assert report.removed_files["panel"] >= 1
    assert report.removed_bytes > 0
    note = named(lake, first)
    assert (note.whole, note.lost["panel"]) == (False, "retention")
    with pytest.raises(VersionGone, match="`python -m ml lineage` says which data versions are whole"):
        read_again(lake, note)
    assert read_again(lake, named(lake, second)) == named(lake, second).digest
    assert retain(lake, [second], 0, NOW).removed_files == {}


def test_without_the_guard_the_kept_one_would_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the first test."""
    lake, first, _ = two_versions(tmp_path)
    vacuum = delta.vacuum

    def careless(opened: DeltaTable, keep: Iterable[int], hours: int) -> int:
        return vacuum(opened, [], hours)

    monkeypatch.setattr(delta, "vacuum", careless)
    report = retain(lake, [first], 0, NOW)
    assert (report.kept, first in report.lost) == ([], True)


def test_versions_of_the_newest_days_stay(tmp_path: Path) -> None:
    lake, first, _ = two_versions(tmp_path)
    assert retain(lake, [], 1, NOW).removed_files == {}
    assert named(lake, first).whole


def test_an_unknown_name_stops_it_before_anything_is_removed(tmp_path: Path) -> None:
    lake, first, _ = two_versions(tmp_path)
    with pytest.raises(UnknownDataVersion, match=r"2026-08\.elsewhere"):
        retain(lake, ["2026-08.elsewhere"], 0, NOW)
    assert named(lake, first).whole
    assert read_again(lake, named(lake, first))
    assert retain(lake, [first, "other"], 0, NOW, ignore_unknown=True).unknown == ["other"]


def test_what_a_killed_writer_left_goes_when_it_is_old(tmp_path: Path) -> None:
    lake = shop(tmp_path)
    old, new = (lake.root / "events" / "event_month=2026-06" / f"{name}.parquet" for name in ("old", "new"))
    unfinished = old.with_name("unfinished.parquet#1")
    for file in (old, new, unfinished):
        file.write_bytes(b"half a file")
    long_ago = (NOW - timedelta(days=900)).timestamp()
    for file in (old, unfinished):
        os.utime(file, (long_ago, long_ago))
    assert retain(lake, [], 1, NOW).removed_files == {"events": 2}
    assert [file.exists() for file in (old, unfinished, new)] == [False, False, True]
