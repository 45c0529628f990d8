"""Rows settle in the lake once each, and both tables or neither change."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.event_batch import IngestReport
from ml.lake import Lake
from tests.ml.small_shop import content, good_rows, row, take, write

ROOT = Path(__file__).parents[2]


def test_the_same_file_again_adds_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    file = write(tmp_path / "shop.parquet", [*good_rows(), row(price=0), row(price=0)])
    first, before = take(file, lake), content(lake)
    again = take(file, lake)
    assert (first.accepted, first.duplicate, first.refused) == (9, 0, {"price_not_positive": 2})
    assert (again.accepted, again.duplicate, again.refused) == (0, 9, {"price_not_positive": 2})
    assert again.events_version == first.events_version
    assert all(one.equals(other) for one, other in zip(before, content(lake), strict=True))
    assert before[1].height == 2, "two equal rows are two refused rows"


def test_a_row_twice_in_a_file_is_a_duplicate(tmp_path: Path) -> None:
    report = take(write(tmp_path / "shop.parquet", [*good_rows(), *good_rows()[:2]]), Lake(tmp_path / "lake"))
    assert (report.accepted, report.duplicate) == (9, 2)


def test_an_id_with_other_content_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    rows = [good | {"event_id": good["order_id"]} for good in good_rows()]
    inside = take(write(tmp_path / "shop.parquet", [*rows, rows[0] | {"quantity": 99}]), lake)
    assert (inside.accepted, inside.duplicate, inside.refused) == (9, 0, {"id_conflict": 1})
    against = take(write(tmp_path / "other.parquet", [rows[1] | {"quantity": 99}, rows[2]]), lake)
    assert (against.accepted, against.duplicate, against.refused) == (0, 1, {"id_conflict": 1})
    moved = rows[3] | {"event_time": rows[0]["event_time"]}
    assert take(write(tmp_path / "moved.parquet", [moved]), lake).refused == {"id_conflict": 1}
    assert sorted(lake.read("events").collect()["quantity"]) == sorted(good["quantity"] for good in rows)
    refused = lake.read("quarantine").collect()
    assert sorted(json.loads(text)["quantity"] for text in refused["row"]) == ["7", "99", "99"]


Content = tuple[str, int]
files = st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 2)), max_size=6), max_size=3)


@settings(max_examples=20, deadline=None)
@given(files)
def test_any_order_of_sends_counts_like_a_dictionary(sends: list[list[Content]]) -> None:
    """The oracle is one pass over a dict: the first content of an id wins, the same again is a duplicate."""
    kept: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        base = [good | {"event_id": f"base-{place}"} for place, good in enumerate(good_rows())]
        take(write(Path(folder) / "base.parquet", base), lake)
        for number, send in enumerate(sends):
            expected: Counter[str] = Counter()
            for event_id, quantity in send:
                if event_id not in kept:
                    expected["accepted"] += 1
                    kept[event_id] = quantity
                else:
                    expected["duplicate" if kept[event_id] == quantity else "conflict"] += 1
            rows = [row(event_id=event_id, quantity=quantity) for event_id, quantity in send] + [base[0]]
            report = take(write(Path(folder) / f"{number}.parquet", rows), lake)
            found = report.accepted, report.duplicate - 1, report.refused.get("id_conflict", 0)
            assert found == (expected["accepted"], expected["duplicate"], expected["conflict"])
        stored = lake.read("events", ["event_id", "quantity"]).collect()
        assert {key: number for key, number in stored.iter_rows() if not key.startswith("base")} == kept


def test_a_report_that_loses_a_row_cannot_be_made() -> None:
    with pytest.raises(AssertionError, match=r"6 of 7 rows of 'shop.csv' are accounted for"):
        IngestReport("shop.csv", 7, 3, 2, {"price_not_positive": 1}, None, 0)


def test_reports_add_up_and_go_to_json() -> None:
    one = IngestReport("inbox", 3, 1, 1, {"id_conflict": 1}, None, 4)
    total = one + IngestReport("inbox", 4, 2, 0, {"id_conflict": 1, "not_a_product": 1}, None, 5)
    assert json.loads(json.dumps(total.to_json())) == {
        "source": "inbox",
        "rows": 7,
        "accepted": 3,
        "duplicate": 1,
        "refused": {"id_conflict": 2, "not_a_product": 1},
        "event_id_key": None,
        "events_version": 5,
    }


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from ml.errors import StoreUnavailable
from ml.lake import Lake
from tests.ml.small_shop import content, good_rows, row, take, write
from tests.ml.test_lake import tree

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, limit, filled = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "filled"
new = [good | {"order_id": "new " + good["order_id"]} for good in good_rows()]
many = [new[8] | {"order_id": f"new {i}"} for i in range(20_000)]
file = write(folder / "shop.parquet", [*new, *many, row(price=0)])
lake = Lake(folder / "lake")
if filled:
    take(write(folder / "first.parquet", [*good_rows(), row(price=-1)]), lake)
before = content(lake), lake.exists("quarantine"), tree(lake.root / "events")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    take(file, lake)
    error = None
except StoreUnavailable as refusal:
    error = str(refusal)
after = content(lake), lake.exists("quarantine"), tree(lake.root / "events")
same = before[1:] == after[1:] and all(a.equals(b) for a, b in zip(before[0], after[0]))
print(json.dumps({"error": error, "same": same, "version": lake.version("quarantine")}))
"""


@pytest.mark.parametrize(
    ("limit_bytes", "full", "filled"),
    [(40_000, True, "filled"), (40_000, True, "new"), (resource.RLIM_INFINITY, False, "filled")],
    ids=["full", "full, new lake", "control"],
)
def test_a_full_disk_between_the_two_tables_changes_neither(
    tmp_path: Path, limit_bytes: int, full: bool, filled: str
) -> None:
    """The refused row and the small months fit on the disk, the big month does not; unlimited, all changes."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(limit_bytes), filled]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["same"] is full
    assert (answer["error"] is not None) is full
    if full:
        assert "cannot be used (" in answer["error"]
        assert "check the disk's free space" in answer["error"]
        assert "\n" not in answer["error"]
        written_and_taken_back = 2 if filled == "filled" else None
        assert answer["version"] == written_and_taken_back


KILLED = """
import os, signal, sys
from pathlib import Path
from ml.lake import Lake
from tests.ml.small_shop import good_rows, row, take, write

folder, table = Path(sys.argv[1]), sys.argv[2]
lake = Lake(folder / "lake")
append = lake.append

def die_after(name, *arguments, **options):
    append(name, *arguments, **options)
    if name == table:
        os.kill(os.getpid(), signal.SIGKILL)

lake.append = die_after
take(write(folder / "shop.parquet", [*good_rows(), row(price=0), row(price=0)]), lake)
"""


@pytest.mark.parametrize("table", ["quarantine", "events"])
def test_an_import_killed_after_either_table_is_finished_by_the_next(tmp_path: Path, table: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), table]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, check=False, timeout=60, env=dict(os.environ)
    )
    assert done.returncode == -signal.SIGKILL
    lake = Lake(tmp_path / "lake")
    report = take(tmp_path / "shop.parquet", lake)
    assert report.accepted + report.duplicate == 9
    assert [frame.height for frame in content(lake)] == [9, 2]
