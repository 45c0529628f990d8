"""The lake writes a table in whole or not at all, and one writer at a time."""

import json
import multiprocessing
import resource
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from ml.columns import QUARANTINE_SCHEMA
from ml.delta import Terms
from ml.errors import StoreUnavailable
from ml.lake import Lake

ROOT = Path(__file__).parents[2]


def refused(*row_ids: str) -> pl.DataFrame:
    """Rows of the quarantine table."""
    return pl.DataFrame(
        [
            {
                "row_id": row_id,
                "reason": "price_not_positive",
                "source": "shop.csv",
                "row": "{}",
                "refused_at": datetime(2026, 3, 1, tzinfo=UTC),
            }
            for row_id in row_ids
        ],
        schema=QUARANTINE_SCHEMA,
    )


def ids(lake: Lake) -> list[str]:
    return sorted(lake.read("quarantine", ["row_id"]).collect()["row_id"])


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the lock, with its bytes."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_known_table_is_empty_before_its_first_write(lake: Lake) -> None:
    assert lake.read("quarantine").collect().schema == QUARANTINE_SCHEMA
    assert (lake.exists("quarantine"), lake.version("quarantine"), lake.last_txn("quarantine", "a")) == (
        False,
        None,
        None,
    )


def test_an_unknown_table_says_what_to_do(lake: Lake) -> None:
    with pytest.raises(StoreUnavailable, match="has no table 'forecasts'; run the step that writes it"):
        lake.read("forecasts")


def test_appends_add_versions_and_old_versions_stay_readable(lake: Lake) -> None:
    lake.append("quarantine", refused("a"))
    lake.append("quarantine", refused("b"))
    lake.overwrite("quarantine", refused("c"))
    assert (ids(lake), lake.version("quarantine")) == (["c"], 2)
    assert sorted(lake.read("quarantine", version=1).collect()["row_id"]) == ["a", "b"]


def test_an_application_transaction_is_in_the_same_commit(lake: Lake) -> None:
    lake.append("quarantine", refused("a"), ("inbox-1", 17))
    lake.append("quarantine", refused(), ("inbox-1", 19))
    assert lake.last_txn("quarantine", "inbox-1") == 19
    assert lake.last_txn("quarantine", "inbox-2") is None
    assert ids(lake) == ["a"]


def test_a_table_without_a_known_schema_takes_that_of_its_first_write(lake: Lake) -> None:
    lake.append("forecasts", pl.DataFrame({"product_id": ["A"], "mean": [1.5]}))
    assert lake.read("forecasts", ["mean"]).collect().to_dicts() == [{"mean": 1.5}]


def test_a_frame_with_other_columns_is_a_defect(lake: Lake) -> None:
    with pytest.raises(ValueError, match="table 'quarantine' has columns"):
        lake.append("quarantine", refused("a").drop("reason"))


def test_restore_brings_rows_back_and_removes_a_new_table(lake: Lake) -> None:
    lake.append("quarantine", refused("a"))
    lake.append("quarantine", refused("b"))
    lake.restore("quarantine", 0)
    assert ids(lake) == ["a"]
    lake.restore("quarantine", None)
    assert not lake.exists("quarantine")


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    """Works for root too, who may write into folders without write permission."""
    (tmp_path / "state").write_text("a file")
    lake = Lake(tmp_path / "state" / "lake")
    with pytest.raises(
        StoreUnavailable, match=r"state/lake' cannot be used \(.*\); check the disk's free space"
    ):
        lake.append("quarantine", refused("a"))


def test_a_table_that_cannot_be_written_is_named(lake: Lake) -> None:
    """A file in the place of the table's log stops the write itself, after the lock was taken."""
    lake.append("quarantine", refused("a"))
    log = lake.root / "quarantine" / "_delta_log"
    log.rename(lake.root / "kept")
    log.write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        lake.append("quarantine", refused("b"))
    log.unlink()
    (lake.root / "kept").rename(log)
    assert ids(lake) == ["a"]


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from ml.errors import StoreUnavailable
from ml.lake import Lake
from tests.ml.test_lake import refused, tree

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
lake = Lake(Path(sys.argv[1]))
lake.append("quarantine", refused("before"))
before = tree(lake.root)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    lake.append("quarantine", refused(*(f"row {i}" for i in range(50_000))))
    lake.append("other", refused(*(f"row {i}" for i in range(50_000))))
    answer = None
except StoreUnavailable as error:
    answer = str(error)
print(json.dumps({"error": answer, "same": tree(lake.root) == before, "other": lake.exists("other")}))
"""


@pytest.mark.parametrize(
    ("limit_bytes", "full"), [(50_000, True), (resource.RLIM_INFINITY, False)], ids=["full", "control"]
)
def test_a_full_disk_leaves_every_file_as_it_was(tmp_path: Path, limit_bytes: int, full: bool) -> None:
    """A limit on file size stops the write as a full disk does, root or not; without it all goes in."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "lake"), str(limit_bytes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout.splitlines()[-1])
    if full:
        assert "lake' cannot be used (" in answer["error"]
        assert "File too large" in answer["error"]
    assert answer["same"] is full
    assert answer["other"] is not full
    assert len(ids(Lake(tmp_path / "lake"))) == (1 if full else 50_001)


def test_a_write_that_failed_after_its_commit_is_kept(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint can fail on a full disk when the commit is already there: its files must stay."""
    lake.append("quarantine", refused("a"))
    commit = lake._commit

    def commit_then_fail(table: str, frame: pl.DataFrame, mode: str, terms: Terms) -> None:
        commit(table, frame, "append", terms)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lake, "_commit", commit_then_fail)
    lake.append("quarantine", refused("b"))
    assert ids(lake) == ["a", "b"]


def _hold(root: Path, holding: "multiprocessing.synchronize.Event") -> None:
    with Lake(root).lock():
        holding.set()
        signal.pause()


def test_the_lock_waits_for_another_process_and_is_free_when_that_is_killed(lake: Lake) -> None:
    context = multiprocessing.get_context("spawn")
    holding = context.Event()
    holder = context.Process(target=_hold, args=(lake.root, holding))
    holder.start()
    assert holding.wait(30)
    written = threading.Event()

    def write() -> None:
        lake.append("quarantine", refused("a"))
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not written.wait(0.3), "the other process holds the lock"
    holder.kill()
    holder.join()
    writer.join(30)
    assert written.is_set()


def test_the_lock_may_be_taken_again_by_its_holder(lake: Lake) -> None:
    with lake.lock(), lake.lock():
        lake.append("quarantine", refused("a"))
    assert ids(lake) == ["a"]
