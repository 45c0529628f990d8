"""The inbox keeps what it acknowledged, once, whoever writes and whatever dies."""

import json
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.errors import StoreUnavailable
from ml.event_store import Inbox, Receipt, StoredEvent
from ml.events import Event
from ml.inbox_schema import SQLITE_TABLES
from tests.ml.racing_writers import each_event_thrice
from tests.ml.test_events import event

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from pathlib import Path
from ml.event_store import Inbox
from ml.inbox_schema import SQLITE_TABLES
from tests.ml.racing_writers import each_event_thrice
from tests.ml.test_events import event

path, first, last, batch = Path(sys.argv[1]), *map(int, sys.argv[2:5])
inbox = Inbox(path)
print("ready", flush=True)
for start in range(first, last, batch):
    ids = range(start, min(start + batch, last))
    receipts = inbox.append([event(event_id=f"e-{i}") for i in ids], "test")
    print(" ".join(f"{r.event_id}={r.status}" for r in receipts), flush=True)
"""


def writer(path: Path, first: int, last: int, batch: int) -> subprocess.Popen[str]:
    """A process that appends events e-first .. e-(last-1) and prints every receipt after its commit."""
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(last), str(batch)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_events_come_back_in_the_order_they_were_accepted(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    inbox = Inbox(tmp_path / "inbox.sqlite", clock=lambda: moment)
    events = [event(event_id=f"e-{i}", campaign="spring") for i in (3, 1, 2)]
    assert inbox.append(events, "web") == [Receipt(f"e-{i}", "accepted") for i in (3, 1, 2)]
    assert inbox.after(0, 10) == [StoredEvent(i + 1, events[i], "web", moment) for i in range(3)]
    assert [stored.event.event_id for stored in inbox.after(1, 1)] == ["e-1"]
    assert (inbox.last_seq(), inbox.count()) == (3, 3)
    inbox.close()


def test_an_empty_inbox_has_no_last_event(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "deep" / "inbox.sqlite")
    assert (inbox.last_seq(), inbox.count(), inbox.after(0, 10), inbox.append([], "web")) == (0, 0, [], [])
    inbox.close()


def test_the_same_id_is_accepted_once_and_other_content_is_a_conflict(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.sqlite")
    inside = [event(), event(), event(quantity=3), event(event_id="e-2")]
    statuses = [receipt.status for receipt in inbox.append(inside, "web")]
    assert statuses == ["accepted", "duplicate", "conflict", "accepted"]
    assert [receipt.status for receipt in inbox.append(inside, "web")] == [
        "duplicate",
        "duplicate",
        "conflict",
        "duplicate",
    ]
    assert [stored.event.quantity for stored in inbox.after(0, 10)] == [2, 2]
    inbox.close()


def test_a_reopened_inbox_has_its_events_and_its_identity(tmp_path: Path) -> None:
    first = Inbox(tmp_path / "inbox.sqlite")
    first.append([event()], "web")
    first.close()
    again, other = Inbox(tmp_path / "inbox.sqlite"), Inbox(tmp_path / "other.sqlite")
    assert again.count() == 1
    assert again.identity == first.identity != other.identity
    again.close()
    other.close()


def test_threads_share_one_inbox(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.sqlite")
    receipts: list[Receipt] = []

    def send() -> None:
        for i in range(25):
            receipts.extend(inbox.append([event(event_id=f"e-{i}")], "web"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(receipt.status for receipt in receipts) == {"accepted": 25, "duplicate": 75}
    assert inbox.count() == 25
    inbox.close()


def test_processes_that_send_the_same_ids_store_each_once(tmp_path: Path) -> None:
    """Four processes open a file that does not exist yet and send overlapping ids at the same time."""
    path = tmp_path / "inbox.sqlite"
    writers = [writer(path, first, first + 120, batch=7) for first in (0, 0, 60, 60)]
    statuses: Counter[str] = Counter()
    for process in writers:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        statuses.update(part.partition("=")[2] for part in out.split() if "=" in part)
    inbox = Inbox(path)
    ids = [stored.event.event_id for stored in inbox.after(0, 1000)]
    inbox.close()
    assert sorted(ids) == sorted({f"e-{i}" for i in range(180)})
    assert statuses == {"accepted": 180, "duplicate": 4 * 120 - 180}


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    process = writer(path, 0, 1_000_000, batch=20)
    assert process.stdout is not None
    acknowledged: list[str] = []
    for line in process.stdout:
        acknowledged += [part.partition("=")[0] for part in line.split() if "=" in part]
        if len(acknowledged) >= 400:
            process.send_signal(signal.SIGKILL)
            break
    acknowledged += [
        part.partition("=")[0] for line in process.stdout for part in line.split() if "=" in part
    ]
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    inbox = Inbox(path)
    stored = [row.event.event_id for row in inbox.after(0, 1_000_000)]
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(stored) % 20 == 0, "a batch is stored whole or not at all"
    inbox.append([event(event_id="after the crash")], "test")
    inbox.close()


def test_a_locked_inbox_says_so_and_recovers(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox.sqlite", busy_timeout_seconds=0.05)
    other = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"inbox\.sqlite' cannot be used \(database is locked\)"):
        inbox.append([event()], "web")
    other.execute("ROLLBACK")
    other.close()
    assert inbox.append([event()], "web")[0].status == "accepted"
    inbox.close()


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A file where the folder should be: refused for every user, root included."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreUnavailable, match=r"state/inbox\.sqlite' cannot be used"):
        Inbox(tmp_path / "state" / "inbox.sqlite")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "inbox.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        Inbox(tmp_path / "inbox.sqlite")


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "inbox.sqlite") as newer:
        newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(StoreUnavailable, match="schema version 99, this release reads 1"):
        Inbox(tmp_path / "inbox.sqlite")


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from ml.errors import StoreUnavailable
from ml.event_store import Inbox
from ml.inbox_schema import SQLITE_TABLES
from tests.ml.racing_writers import each_event_thrice
from tests.ml.test_events import event

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
inbox = Inbox(Path(sys.argv[1]))
inbox.append([event(event_id="before")], "test")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    inbox.append([event(event_id=f"e-{i}") for i in range(2000)], "test")
    print(json.dumps({"error": None}))
except StoreUnavailable as error:
    print(json.dumps({"error": str(error), "count": inbox.count()}))
"""


@pytest.mark.parametrize(
    ("limit_bytes", "stored"), [(200_000, 1), (resource.RLIM_INFINITY, 2001)], ids=["full", "control"]
)
def test_a_full_disk_refuses_the_batch_and_keeps_what_was_there(
    tmp_path: Path, limit_bytes: int, stored: int
) -> None:
    """A limit on file size stops the write as a full disk does, root or not; without it all goes in."""
    path = tmp_path / "inbox.sqlite"
    command = [sys.executable, "-c", FULL_DISK, str(path), str(limit_bytes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    if stored == 1:
        assert "inbox.sqlite' cannot be used" in answer["error"]
        assert answer["count"] == 1
    else:
        assert answer["error"] is None
    inbox = Inbox(path)
    assert inbox.count() == stored
    inbox.close()


def test_stored_events_are_readable_without_this_code(tmp_path: Path) -> None:
    """An operator opens the file with the sqlite3 shell and reads JSON."""
    inbox = Inbox(tmp_path / "inbox.sqlite")
    inbox.append([event(order_id="o-1")], "web")
    inbox.close()
    with sqlite3.connect(tmp_path / "inbox.sqlite") as db:
        body, source = db.execute("SELECT body, source FROM events").fetchone()
        (journal,) = db.execute("PRAGMA journal_mode").fetchone()
    db.close()
    assert Event.model_validate_json(body) == event(order_id="o-1")
    assert (source, journal) == ("web", "wal")


def test_each_event_sent_thrice_by_eight_writers_is_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    assert each_event_thrice(lambda: Inbox(path), 200, seed=7) == {"accepted": 200, "duplicate": 400}
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*), count(DISTINCT event_id) FROM events").fetchone() == (200, 200)
    db.close()


def test_a_store_that_does_not_look_for_what_is_there_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: a table without the constraint, and nobody asks it."""
    path = tmp_path / "inbox.sqlite"
    monkeypatch.setattr("ml.event_store.SQLITE_TABLES", [sql.replace("UNIQUE", "") for sql in SQLITE_TABLES])
    monkeypatch.setattr("ml.event_store._known_hashes", lambda *_: {})
    assert each_event_thrice(lambda: Inbox(path), 20, seed=7)["accepted"] > 20
