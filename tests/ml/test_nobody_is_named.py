"""Whatever way an event comes in, no store holds the id of a person, and no log line does."""

import logging
from pathlib import Path

import polars as pl
import pytest

from ml.errors import BadEvents
from ml.event_store import Inbox
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.pseudonym import pseudonym
from tests.ml.small_shop import KEY, SETTINGS, good_rows, row, take, write
from tests.ml.test_events import event

NAMED = ("ali@shop.example", "session-of-ali", "Ali Veli")
PERSON = dict(zip(("customer_id", "user_session", "customer_name"), NAMED, strict=True))


def texts(folder: Path) -> str:
    """Everything below a folder: files as they are, tables of Parquet decoded."""
    found = []
    for file in folder.rglob("*"):
        if file.suffix == ".parquet":
            found += [str(row) for row in pl.read_parquet(file, hive_partitioning=False).rows()]
        elif file.is_file():
            found.append(file.read_bytes().decode(errors="replace"))
    return "\n".join(found)


def test_a_file_leaves_no_name_in_the_lake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rows = [good | PERSON for good in good_rows()] + [row(quantity=0, **PERSON), row(price=-1, **PERSON)]
    lake = Lake(tmp_path / "state" / "lake")
    report = take(write(tmp_path / "shop.parquet", rows), lake)
    assert (report.accepted, sum(report.refused.values())) == (9, 2)
    kept = texts(tmp_path / "state")
    assert pseudonym(NAMED[0], KEY.encode()) in kept
    assert [name for name in NAMED if name in kept + caplog.text] == []
    assert [name for name in NAMED if name not in texts(tmp_path)] == [], "the control: they are in the file"


def test_a_refused_file_is_told_without_names(tmp_path: Path) -> None:
    with pytest.raises(BadEvents) as refusal:
        take(write(tmp_path / "shop.parquet", [row(quantity=0, **PERSON)]), Lake(tmp_path / "lake"))
    assert "the first is {" in str(refusal.value)
    assert [name for name in NAMED if name in str(refusal.value)] == []


def test_what_an_older_release_accepted_is_hidden_on_its_way_to_the_lake(tmp_path: Path) -> None:
    inbox, lake = Inbox(tmp_path / "inbox.sqlite"), Lake(tmp_path / "lake")
    named = {"customer_id": NAMED[0], "session_id": NAMED[1]}
    inbox.append([event(**named), event(event_id="e-2", category="_non_product", **named)], "web")
    report = drain_inbox(inbox, lake, SETTINGS)
    inbox.close()
    assert (report.accepted, sum(report.refused.values())) == (1, 1)
    kept = texts(lake.root)
    assert [name for name in NAMED if name in kept] == []
    assert pseudonym(NAMED[0], KEY.encode()) in kept
