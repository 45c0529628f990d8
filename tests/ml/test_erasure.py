"""After an erasure the customer is in no file, the units are where they were, and a re-send changes nothing."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from ml import delta, erasure
from ml.columns import LOGGED
from ml.erasure import Erased, erase
from ml.event_store import Inbox
from ml.inbox_erasure import FileErasure
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.panel import build_panel
from ml.pseudonym import pseudonym, pseudonymised
from ml.upkeep import compact
from ml.version_table import named
from tests.ml.small_shop import KEY, NOW, SETTINGS, good_rows, row, take, write
from tests.ml.test_events import event

ROOT = Path(__file__).parents[2]
RAW = "anna@example.com"
ANNA = pseudonym(RAW, KEY.encode())
SESSION = pseudonym("anna's session", KEY.encode(), "session_id")


def rows() -> list[dict[str, Any]]:
    """Anna's order in June with a return of July, a bad row of hers, and everybody else's."""
    anna = {"customer_id": RAW, "order_id": "anna-1", "session_id": "anna's session", "segment": "VIP"}
    august = datetime(2026, 8, 30, tzinfo=UTC)
    hers = [
        row(**anna, event_time=datetime(2026, 6, 20, 22, 30, tzinfo=UTC), event_id="anna-1-A", quantity=5),
        row(
            **anna, event_time=datetime(2026, 6, 20, 22, 30, tzinfo=UTC), event_id="anna-1-B", product_id="B"
        ),
        row(
            **anna,
            event_time=datetime(2026, 7, 2, 8, tzinfo=UTC),
            event_id="anna-1-back",
            quantity=-1,
            type="return",
        ),
        row(**anna | {"customer_id": None, "order_id": None}, event_id="before the login", type="view"),
        row(**anna, event_id="anna-bad", price=0),
    ]
    newest = row(event_time=datetime(2026, 9, 2, tzinfo=UTC), order_id="newest", event_id="newest")
    others = [good | {"event_id": f"e-{i}", "type": "purchase"} for i, good in enumerate(good_rows())]
    ready = [
        {"type": "purchase", "session_id": None, "segment": None} | each for each in [*others, *hers, newest]
    ]
    assert all(each["event_time"] < august or each is ready[-1] for each in ready)
    return ready


def shop(folder: Path) -> Path:
    """The rows, sent by file and (her last view) by the collector; a data version from before her, and one since."""
    lake = Lake(folder / "lake")
    others = [each for each in rows() if "anna" not in str(each["session_id"])]
    take(write(folder / "others.parquet", others), lake)
    build_panel(lake, SETTINGS, NOW)
    take(write(folder / "shop.parquet", rows()), lake)
    inbox = Inbox(folder / "inbox.sqlite")
    view = event(event_id="anna-late", event_type="view", customer_id=RAW, occurred_at="2026-08-03T11:22:33Z")
    inbox.append([pseudonymised(view, KEY.encode())], "web")
    drain_inbox(inbox, lake, SETTINGS, now=NOW)
    inbox.close()
    build_panel(lake, SETTINGS, NOW)
    compact(lake)
    return folder


def erased(folder: Path) -> Erased:
    inbox = FileErasure(folder / "inbox.sqlite")
    return erase(Lake(folder / "lake"), inbox, [ANNA, RAW], "Europe/Istanbul", NOW)


def everything(folder: Path) -> Iterator[tuple[Path, str]]:
    """All that the stores' files say, read without the code under test."""
    for file in [*(folder / "lake").rglob("*"), *folder.glob("inbox.sqlite*")]:
        if file.suffix == ".parquet":
            with pq.ParquetFile(file) as stored:
                yield file, json.dumps(stored.read().to_pylist(), default=str)
                yield file, str(stored.metadata.to_dict())
        elif file.is_file():
            yield file, file.read_bytes().decode("latin-1")


def files_with(folder: Path, *words: str) -> set[str]:
    return {file.name for file, text in everything(folder) if any(word in text for word in words)}


HERS = (ANNA, RAW, SESSION, "anna-1", "before the login", "VIP", "anna-bad")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def state(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the shop, with the times of its files."""
    return Path(shutil.copytree(prepared, tmp_path / "state"))


def test_the_customer_is_in_no_file_and_the_units_stay(state: Path) -> None:
    lake = Lake(state / "lake")
    before = lake.read("events").collect()
    old_version = lake.version("events")
    assert files_with(state, ANNA), "the search finds her before"
    done = erased(state)
    assert (done.events, done.refused_rows, done.inbox_events, done.left_in) == (5, 1, 1, [])
    assert files_with(state, *HERS) == set()
    after = lake.read("events").collect()
    kept = ["event_type", "product_id", "category", "unit_price_cents", "currency", "quantity", "event_month"]
    assert after.select(kept).sort(kept).equals(before.select(kept).sort(kept))
    theirs = before.filter(~pl.col("event_id").str.contains("anna|login")).sort("event_id")
    assert after.join(theirs, on="event_id", how="semi").sort("event_id").equals(theirs)
    with pytest.raises(Exception, match="cannot be read any more"):
        lake.read("events", version=old_version)


def test_an_anonymous_event_keeps_its_day_and_its_order_under_another_name(state: Path) -> None:
    erased(state)
    events = (
        Lake(state / "lake").read("events").filter(pl.col("event_id").str.starts_with("erased-")).collect()
    )
    assert events.select("customer_id", "session_id", "segment").null_count().row(0) == (5, 5, 5)
    assert events["event_id"].is_unique().all()
    order = events.drop_nulls("order_id")
    assert (order.height, order["order_id"].n_unique()) == (3, 1)
    assert set(order["occurred_at"]) == {
        datetime(2026, 6, 20, 21, tzinfo=UTC),
        datetime(2026, 7, 1, 21, tzinfo=UTC),
    }, "midnight in Istanbul"


def test_the_panel_is_what_it_was_but_for_the_buyers_that_are_not_known_any_more(state: Path) -> None:
    lake = Lake(state / "lake")
    before = lake.read("panel").sort("product_id", "month").collect()
    erased(state)
    build_panel(lake, SETTINGS, NOW)
    after = lake.read("panel").sort("product_id", "month").collect()
    assert after.drop("buyers").equals(before.drop("buyers"))
    assert (before["buyers"] - after["buyers"]).to_list().count(1) == 2


def test_data_versions_that_had_her_events_are_named_and_others_stay(state: Path) -> None:
    lake = Lake(state / "lake")
    first, second = lake.read("data_versions").sort("created_at", "tables").collect()["name"]
    done = erased(state)
    assert done.data_versions == [second]
    assert named(lake, first).whole
    assert lake.at(named(lake, first).tables).read("events").collect().height == 10
    lost = named(lake, second)
    assert (lost.whole, lost.trainable, lost.lost["events"]) == (False, True, "erasure")


def test_what_she_sent_is_not_taken_again(state: Path) -> None:
    erased(state)
    lake, inbox = Lake(state / "lake"), Inbox(state / "inbox.sqlite")
    events = lake.read("events").collect().height
    again = take(state / "shop.parquet", lake)
    assert (again.accepted, again.duplicate) == (0, 14)
    sent = pseudonymised(
        event(event_id="anna-late", event_type="view", customer_id=RAW, occurred_at="2026-08-03T11:22:33Z"),
        KEY.encode(),
    )
    other = sent.model_copy(update={"quantity": 3})
    assert [each.status for each in inbox.append([sent, other], "web")] == ["duplicate", "conflict"]
    assert drain_inbox(inbox, lake, SETTINGS, now=NOW).rows == 0
    assert lake.read("events").collect().height == events
    fresh = sent.model_copy(update={"event_id": "anna is back"})
    inbox.append([fresh], "web")
    assert drain_inbox(inbox, lake, SETTINGS, now=NOW).accepted == 1, "a new event is a new event"
    inbox.close()
    assert files_with(state, "anna-1", SESSION, "VIP") == set()


def test_a_second_erasure_finds_nothing_and_both_are_on_record_without_her(state: Path) -> None:
    first, second = erased(state), erased(state)
    assert (first.events, second.events, second.data_versions) == (5, 0, [])
    record = Lake(state / "lake").read("erasures").collect()
    assert record["state"].to_list().count("done") == 2
    assert record["customer"].n_unique() == 1
    assert ANNA not in json.dumps(record.to_dicts(), default=str)


def test_copies_of_events_that_a_step_keeps_beside_the_tables_go_too(state: Path) -> None:
    lake = Lake(state / "lake")
    (lake.root / ".panel" / "parts").mkdir(parents=True)
    lake.read("events").collect().write_parquet(lake.root / ".panel" / "parts" / "2026-06.parquet")
    assert "2026-06.parquet" in files_with(state, ANNA)
    erased(state)
    assert files_with(state, *HERS) == set()
    assert not (lake.root / ".panel").exists()


def test_what_a_killed_writer_had_not_finished_goes_too(state: Path) -> None:
    """Delta writes a file under a name that no reader looks for, and then renames it."""
    lake = Lake(state / "lake")
    file = next(file for file in lake.files("events") if ANNA in str(pq.ParquetFile(file).read().to_pylist()))
    unfinished = file.with_name(f"{file.name}#1")
    shutil.copy(file, unfinished)
    assert erased(state).left_in == []
    assert not unfinished.exists()


def test_a_customer_without_events_changes_no_table_but_the_record(state: Path) -> None:
    lake = Lake(state / "lake")
    before = {table: lake.version(table) for table in lake.tables()}
    nobody = pseudonym("nobody", KEY.encode())
    done = erase(lake, FileErasure(state / "inbox.sqlite"), [nobody], "UTC", NOW)
    assert (done.events, done.left_in) == (0, [])
    after = {table: lake.version(table) for table in lake.tables()}
    assert {table for table in after if after[table] != before.get(table)} == {"erasures"}


def test_a_log_of_a_release_that_wrote_values_of_every_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.delitem(LOGGED, "events")
        then.delitem(LOGGED, "quarantine")
        state = shop(tmp_path)
    assert any(name.endswith(".json") for name in files_with(state, ANNA)), "the log names her before"
    lake = Lake(state / "lake")
    assert erased(state).left_in == []
    assert files_with(state, ANNA, RAW, SESSION) == set()
    assert lake.read("events").collect().height == 15
    assert lake.at({"events": 0}).read("events").collect().height == 10


class Killed(BaseException):
    """What no code of ours catches."""


def outcome(state: Path) -> tuple[Any, ...]:
    """All that is to be the same, however often an erasure was interrupted."""
    lake = Lake(state / "lake")
    events = lake.read("events").collect()
    anonymous = pl.col("event_id").str.starts_with("erased-")
    others = events.filter(~anonymous).sort("event_id").to_dicts()
    ours = (
        events.filter(anonymous).drop("event_id", "order_id").sort("product_id", "occurred_at", "event_type")
    )
    done = (
        lake.read("erasures").filter(pl.col("state") == "done").drop("erasure", "state").collect().to_dicts()
    )
    marks = lake.read("unreproducible").drop("at").sort("name", "lost").collect().to_dicts()
    ids = sorted(lake.read("erased_ids").collect()["digest"])
    return others, ours.to_dicts(), done, marks, ids, files_with(state, *HERS)


def test_interrupted_at_every_step_and_run_again_it_ends_the_same(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(shutil.copytree(prepared, tmp_path / "whole"))
    erased(whole)
    expected = outcome(whole)
    left = 0

    def killing(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return function(*arguments, **options)

        return counted

    steps = 0
    while left <= 0:
        steps += 1
        state = Path(shutil.copytree(prepared, tmp_path / str(steps)))
        left = steps
        with monkeypatch.context() as then:
            then.setattr(Lake, "append", killing(Lake.append))
            then.setattr(Path, "unlink", killing(Path.unlink))
            then.setattr(delta, "replace_rows", killing(delta.replace_rows))
            then.setattr(delta, "forget_in_log", killing(delta.forget_in_log))
            then.setattr(FileErasure, "erase", killing(FileErasure.erase))
            then.setattr(erasure, "_left_in", killing(erasure._left_in))
            try:
                erased(state)
            except Killed:
                left = 0
        assert erased(state).left_in == []
        if left == 0:
            assert outcome(state) == expected, f"killed at step {steps}"
    assert steps > 9


KILL = """
import sys
from pathlib import Path
from tests.ml.test_erasure import erased
print("ready", flush=True)
sys.stdin.readline()
erased(Path(sys.argv[1]))
"""


@pytest.mark.soak
def test_killed_forty_times_at_random_and_run_again_it_ends_the_same(prepared: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copytree(prepared, tmp_path / "whole"))
    erased(whole)
    expected, chance, killed = outcome(whole), random.Random(2026), 0  # noqa: S311
    for number in range(40):
        state = Path(shutil.copytree(prepared, tmp_path / str(number)))
        command = [sys.executable, "-c", KILL, str(state)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(chance.uniform(0, 0.6))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        erased(state)
        others, ours, _, marks, ids, left = outcome(state)
        assert (others, ours, marks, ids, left) == (*expected[:2], *expected[3:]), f"kill {number}"
        shutil.rmtree(state)
    assert killed > 20
