"""Each accepted event is in the lake once, whoever writes at the same time and whenever a writer is killed."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from ml import event_batch
from ml.errors import LakeMoved
from ml.event_store import Inbox
from ml.events import Event
from ml.ingest import accepted_events, drain_inbox
from ml.lake import NEW, Lake
from tests.ml.ingest_process import UnlockedLake
from tests.ml.small_shop import NOW, SETTINGS, USUAL, content, good_rows, row, take, write
from tests.ml.test_events import event
from tests.ml.test_lake import refused

ROOT = Path(__file__).parents[2]
KINDS = ("bags", "_non_product", "garden")
Process = subprocess.Popen[str]


def started(lake: Path, source: Path, lock: str) -> Process:
    """Ready to take the source, waiting for `go`."""
    command = [sys.executable, "-m", "tests.ml.ingest_process", str(lake), str(source), lock]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def filled(path: Path, events: int) -> Inbox:
    """An inbox in which every third event is refused by the lake."""
    inbox = Inbox(path)
    inbox.append([event(event_id=f"e-{i}", category=KINDS[i % 3]) for i in range(events)], "web")
    return inbox


def check_once(lake: Lake, inbox: Inbox, events: int) -> None:
    accepted, quarantine = content(lake)
    assert sorted(accepted["event_id"]) == sorted(f"e-{i}" for i in range(events) if i % 3 != 1)
    expected = [f"inbox-{inbox.identity}-{i + 1}" for i in range(events) if i % 3 == 1]
    assert sorted(quarantine["row_id"]) == sorted(expected)


def test_two_processes_drain_one_inbox_at_once(tmp_path: Path) -> None:
    """Without a lock, as on two machines: the loser of each commit reads again and finds nothing left of its batch."""
    inbox, lake = filled(tmp_path / "inbox.sqlite", 200), Lake(tmp_path / "lake")
    racers = [started(lake.root, inbox.path, "unlocked") for _ in range(2)]
    for racer in racers:
        go(racer)
    accepted = [int(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sum(accepted) == 133
    check_once(lake, inbox, 200)
    inbox.close()


def test_a_file_and_the_inbox_bring_the_same_events_at_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    rows = [good | {"order_id": f"o-{i}"} for i, good in enumerate(good_rows() * 20)]
    file = write(tmp_path / "shop.parquet", [*rows, row(price=0)])
    same = accepted_events(file, SETTINGS, key=SETTINGS.pseudonym_secret(), **USUAL)
    sent = [Event.model_validate(fields) for fields in same.drop("source", "event_month").to_dicts()]
    inbox = Inbox(tmp_path / "inbox.sqlite")
    inbox.append(sent, "web")
    racers = [started(lake.root, source, "unlocked") for source in (file, inbox.path)]
    for racer in racers:
        go(racer)
    assert sum(int(racer.communicate(timeout=60)[0]) for racer in racers) == 180
    assert [frame.height for frame in content(lake)] == [180, 1]
    inbox.close()


def test_an_append_onto_an_older_version_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.append("quarantine", refused("a"), onto=NEW)
    with pytest.raises(LakeMoved, match="table 'quarantine' went from version -1 to 0 by another writer"):
        lake.append("quarantine", refused("b"), onto=NEW)
    lake.append("quarantine", refused("b"), onto=0)
    with pytest.raises(LakeMoved):
        lake.append("quarantine", refused("c"), onto=0)
    assert sorted(lake.read("quarantine").collect()["row_id"]) == ["a", "b"]
    lake.append("quarantine", refused("c"))
    assert lake.version("quarantine") == 2


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
def test_a_writer_that_was_overtaken_between_reading_and_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    """The control appends onto any version, as Delta would: the events of both writers are then there twice."""
    lake, file = UnlockedLake(tmp_path / "lake"), write(tmp_path / "shop.parquet", good_rows())
    sort_out, calls = event_batch.EventBatch._sort_out, Counter[str]()

    def overtaken(self: event_batch.EventBatch, lake: Lake) -> tuple[pl.DataFrame, pl.Series]:
        found = sort_out(self, lake)
        calls["batches"] += 1
        if calls["batches"] == 1:
            take(file, UnlockedLake(lake.root))
        return found

    monkeypatch.setattr(event_batch.EventBatch, "_sort_out", overtaken)
    if not guarded:
        append = Lake.append
        monkeypatch.setattr(
            Lake, "append", lambda lake, table, frame, txn=None, **_: append(lake, table, frame, txn)
        )
    report = take(file, lake)
    assert (report.accepted, report.duplicate) == ((0, 9) if guarded else (9, 0))
    assert lake.read("events").collect().height == (9 if guarded else 18)


def test_an_id_that_came_in_another_month_is_known(tmp_path: Path) -> None:
    """The partition of an event is its month; its id is looked for in all of them."""
    lake = Lake(tmp_path / "lake")
    rows = [good | {"event_id": f"e-{i}"} for i, good in enumerate(good_rows())]
    take(write(tmp_path / "shop.parquet", rows), lake)
    moved = rows[0] | {"event_time": rows[8]["event_time"]}
    report = take(write(tmp_path / "late.parquet", [moved, rows[1]]), lake)
    assert (report.accepted, report.duplicate, report.refused) == (0, 1, {"id_conflict": 1})


def test_events_that_come_late_and_out_of_order_are_taken_into_their_months(tmp_path: Path) -> None:
    inbox, lake = Inbox(tmp_path / "inbox.sqlite"), Lake(tmp_path / "lake")
    months = ["2026-08", "2026-06", "2026-08", "2026-07", "2026-06"]
    for i, month in enumerate(months):
        inbox.append([event(event_id=f"e-{i}", occurred_at=f"{month}-15T10:00:00Z")], "web")
        drain_inbox(inbox, lake, SETTINGS, now=NOW)
    stored = lake.read("events").sort("event_id").collect()
    assert stored["event_month"].to_list() == months
    assert len(list((lake.root / "events").glob("event_month=2026-06/*.parquet"))) == 2
    inbox.close()


def kill_campaign(folder: Path, kills: int, seed: int, events: int) -> None:
    """Drains of one inbox, killed at seeded moments of their work; then one that may end."""
    chance = random.Random(seed)  # noqa: S311
    inbox, lake = filled(folder / "inbox.sqlite", events), Lake(folder / "lake")
    killed = 0
    for _ in range(kills):
        process = started(lake.root, inbox.path, "locked")
        go(process)
        time.sleep(chance.uniform(0.0, 0.25))
        process.kill()
        process.communicate()
        killed += process.returncode < 0
        progress = lake.read("events").collect()["event_id"]
        assert progress.is_unique().all(), f"seed {seed}"
    drain_inbox(inbox, lake, SETTINGS)
    assert killed > kills / 2, f"seed {seed}: only {killed} of {kills} were killed before they were done"
    check_once(lake, inbox, events)
    inbox.close()


def test_drains_killed_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_campaign(tmp_path, kills=5, seed=7, events=600)


@pytest.mark.soak
def test_a_hundred_killed_drains_lose_and_double_nothing(tmp_path: Path) -> None:
    kill_campaign(tmp_path, kills=100, seed=2026, events=20_000)
