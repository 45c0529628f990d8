"""From a row of the panel to its events, from a model to its data, and whether both can still be had."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.data_version import data_version_of
from ml.errors import NotEnoughHistory, VersionGone
from ml.event_store import Inbox
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.lineage import model_lineage, row_lineage
from ml.panel import build_panel, load_history
from ml.upkeep import compact, retain
from tests.ml.small_shop import NOW, SETTINGS, row, take, write
from tests.ml.test_events import event
from tests.ml.test_version_table import shop

ACCEPTED = datetime(2026, 9, 3, 12, tzinfo=UTC)
IMPORTED = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Product A in August: one order of a file, one of a second file, a view of the inbox, and a later return."""
    lake = shop(tmp_path)
    august = datetime(2026, 8, 20, tzinfo=UTC)
    more = [
        row(event_id="more", order_id="o-more", event_time=august, customer_id="c-9"),
        row(event_id="back", order_id="o-more", event_time=datetime(2026, 9, 1, tzinfo=UTC), quantity=-1),
        row(event_id="other", order_id="o-other", product_id="B", event_time=august),
    ]
    take(write(tmp_path / "more.parquet", more), lake, now=IMPORTED)
    inbox = Inbox(tmp_path / "inbox.sqlite", clock=lambda: ACCEPTED)
    inbox.append([event(event_id="x"), event(event_id="view", event_type="view", product_id="a")], "web")
    inbox.append(
        [event(event_id="seen", event_type="view", product_id="a", occurred_at="2026-08-21T10:00:00Z")],
        "till",
    )
    drain_inbox(inbox, lake, SETTINGS, now=NOW)
    inbox.close()
    build_panel(lake, SETTINGS, NOW)
    compact(lake)
    return lake


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox.sqlite")


def test_a_row_is_traced_to_every_event_with_where_and_when_it_came(lake: Lake, inbox: Inbox) -> None:
    found = row_lineage(lake, inbox, "UTC", "a", "2026-08")
    came = {each["event_id"]: (each["source"], each["accepted_at"]) for each in found["events"]}
    assert came["more"] == ("more.parquet", IMPORTED.isoformat())
    assert came["seen"] == ("inbox", ACCEPTED.isoformat())
    assert sorted(source for source, _ in came.values()) == ["inbox", "more.parquet", "shop.parquet"]
    (seen,) = [each for each in found["events"] if each["event_id"] == "seen"]
    assert (seen["seq"], seen["sender"], seen["learned"]) == (3, "till", True)
    assert [each["event_id"] for each in found["returns_booked"]] == ["back"]
    assert (found["row"]["units"], found["row"]["returned_units"], found["row"]["views"]) == (11, 1, 1)
    assert (found["agrees"], found["events_in_all"]) == (True, 4)
    inbox.close()


def test_events_that_were_added_since_do_not_add_up_to_the_row(lake: Lake, tmp_path: Path) -> None:
    """The control: the newest panel was not built from the newest events; its data version was."""
    late = row(event_id="late", order_id="late", event_time=datetime(2026, 8, 22, tzinfo=UTC))
    take(write(tmp_path / "late.parquet", [late]), lake)
    assert not row_lineage(lake, None, "UTC", "A", "2026-08")["agrees"]
    name = data_version_of(load_history(lake)).name
    then = row_lineage(lake, None, "UTC", "A", "2026-08", data_version=name)
    assert (then["agrees"], then["data_version"], then["events_in_all"]) == (True, name, 4)


def test_an_event_that_is_not_learned_from_is_listed_and_not_counted(lake: Lake, tmp_path: Path) -> None:
    taken_back = [
        row(
            event_id=name,
            order_id="o-oops",
            quantity=units,
            event_time=datetime(2026, 8, 25, hour, tzinfo=UTC),
        )
        for name, units, hour in (("oops", 4, 9), ("no", -4, 10))
    ]
    take(write(tmp_path / "oops.parquet", taken_back), lake)
    build_panel(lake, SETTINGS, NOW)
    found = row_lineage(lake, None, "UTC", "A", "2026-08")
    aside = {each["event_id"]: each["set_aside"] for each in found["events"] if not each["learned"]}
    assert aside == dict.fromkeys(("oops", "no"), "cancelled_within_24_hours")
    assert found["agrees"]


def test_an_event_of_a_file_that_was_sent_twice_came_with_the_first_that_had_it(
    lake: Lake, tmp_path: Path
) -> None:
    again = datetime(2026, 11, 21, tzinfo=UTC)
    second = row(event_id="second", order_id="second", event_time=datetime(2026, 8, 23, tzinfo=UTC))
    take(write(tmp_path / "more.parquet", [second]), lake, now=again)
    found = row_lineage(lake, None, "UTC", "A", "2026-08")["events"]
    came = {each["event_id"]: each["accepted_at"] for each in found}
    assert (came["more"], came["second"]) == (IMPORTED.isoformat(), again.isoformat())


def test_there_is_nothing_to_trace_without_a_row(lake: Lake) -> None:
    with pytest.raises(NotEnoughHistory, match="no row of product 'Z' and month 2026-08"):
        row_lineage(lake, None, "UTC", "z", "2026-08")


def test_a_model_is_traced_to_data_that_can_be_made_again_until_it_is_removed(
    lake: Lake, tmp_path: Path
) -> None:
    version = data_version_of(load_history(lake))
    found = model_lineage(lake, version.name, version.digest)
    assert (found["trainable"], found["reproducible"], found["lost"]) == (True, True, {})
    assert set(found["tables"]) == {"events", "panel"}
    assert not model_lineage(lake, version.name, "0" * 64)["trainable"], (
        "the model learned from other numbers"
    )
    take(write(tmp_path / "late.parquet", [row(order_id="late", quantity=9)]), lake)
    build_panel(lake, SETTINGS, NOW)
    retain(lake, [], 0, NOW)
    gone = model_lineage(lake, version.name, version.digest)
    assert (gone["trainable"], gone["reproducible"]) == (False, False)
    assert gone["lost"] == {"events": "retention", "panel": "retention"}
    assert "cannot be read any more" in gone["reason"]
    with pytest.raises(VersionGone):
        row_lineage(lake, None, "UTC", "A", "2026-08", data_version=version.name)


def test_a_model_of_another_lake_is_not_reproducible(lake: Lake) -> None:
    found = model_lineage(lake, "2020-01.abc", None)
    assert (found["reproducible"], "was it made in another lake" in found["reason"]) == (False, True)
