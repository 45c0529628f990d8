"""Files and the inbox go into the lake: every row accounted for, every acknowledged event once."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from ml.errors import BadEvents, StoreUnavailable
from ml.event_store import Inbox
from ml.events import Event
from ml.ingest import accepted_events, drain_inbox
from ml.lake import Lake
from ml.progress import silent
from tests.ml.small_shop import KEY, NOW, SETTINGS, good_rows, row, take, write
from tests.ml.test_events import event


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox.sqlite")


def test_a_csv_of_a_shop_with_its_own_names(tmp_path: Path, lake: Lake) -> None:
    """Day-first dates in local time, decimal commas, no currency, no types: the usual export."""
    lines = ["InvoiceNo;StockCode;Quantity;InvoiceDate;UnitPrice;CustomerID;Country;Shelf"]
    lines += [
        f"{i};{code};{2 + i};{13 + i}.0{6 + i}.2026 00:30;2,55;c-{i};UK;x" for i in range(3) for code in "ab"
    ]
    lines += ["9;a;-1;14.07.2026 10:00;2,55;c-1;UK;x", "10;a;-1;14.07.2026 10:00;free;c-1;UK;x"]
    (tmp_path / "shop.csv").write_text("\n".join(lines))
    report = take(
        tmp_path / "shop.csv",
        lake,
        mapping={"category": "Shelf"},
        timezone="Europe/Istanbul",
        currency="TRY",
    )
    assert (report.rows, report.accepted, report.refused) == (8, 7, {"unreadable_price": 1})
    assert report.event_id_key is not None
    first = lake.read("events").sort("occurred_at", "product_id").collect().row(0, named=True)
    assert first["occurred_at"] == datetime(2026, 6, 12, 21, 30, tzinfo=UTC)
    assert {
        name: first[name] for name in ("product_id", "unit_price_cents", "currency", "segment", "category")
    } == {
        "product_id": "A",
        "unit_price_cents": 255,
        "currency": "TRY",
        "segment": "UK",
        "category": "x",
    }
    back = lake.read("events").filter(pl.col("event_type") == "return").collect()
    assert back["quantity"].to_list() == [1]


def test_a_folder_of_files_with_different_columns(tmp_path: Path, lake: Lake) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    write(folder / "1.parquet", good_rows()[:5])
    pl.DataFrame(good_rows()[5:]).drop("customer_id", "category").with_columns(
        pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    ).write_csv(folder / "2.csv")
    report = take(folder, lake)
    assert (report.source, report.accepted) == ("shop", 9)
    events = lake.read("events").collect()
    assert events["customer_id"].null_count() == 4
    assert set(events["event_month"]) == {"2026-06", "2026-07", "2026-08"}


def test_months_are_those_of_the_shops_zone(tmp_path: Path, lake: Lake) -> None:
    late = row(event_time=datetime(2026, 6, 30, 22, tzinfo=UTC), order_id="late")
    zone = SETTINGS.model_copy(update={"shop_zone": "Europe/Istanbul"})
    take(write(tmp_path / "shop.parquet", [*good_rows(), late]), lake, settings=zone)
    months = lake.read("events").filter(pl.col("order_id") == "late").collect()["event_month"]
    assert months.to_list() == ["2026-07"]


def test_refused_rows_are_kept_as_they_came(tmp_path: Path, lake: Lake) -> None:
    take(write(tmp_path / "shop.parquet", [*good_rows(), row(price=0, category="_non_product")]), lake)
    kept = lake.read("quarantine").collect().row(0, named=True)
    assert (kept["reason"], kept["source"], kept["refused_at"]) == ("not_a_product", "shop.parquet", NOW)
    assert '"price":"0"' in kept["row"] or '"price":"0.0"' in kept["row"]


def test_progress_names_the_steps(tmp_path: Path, lake: Lake) -> None:
    seen: list[tuple[int, int, str]] = []
    take(write(tmp_path / "shop.parquet", good_rows()), lake, progress=lambda *step: seen.append(step))
    assert seen == [
        (0, 1, "read shop.parquet"),
        (1, 1, "read files"),
        (0, 9, "check rows"),
        (0, 9, "write events"),
        (9, 9, "write events"),
    ]


def test_a_wrong_currency_option_is_named(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(BadEvents, match="--currency 'euro' is no ISO 4217 code") as refusal:
        take(write(tmp_path / "shop.parquet", good_rows()), lake, currency="euro")
    assert refusal.value.check == "unknown-currency"


def test_a_lake_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be: refused for root too, unlike a folder without write permission."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreUnavailable, match=r"state/lake' cannot be used"):
        take(write(tmp_path / "shop.parquet", good_rows()), Lake(tmp_path / "state" / "lake"))


def test_events_sent_through_the_collector_first_are_duplicates_in_the_file(
    tmp_path: Path, lake: Lake, inbox: Inbox
) -> None:
    file = write(tmp_path / "shop.parquet", [*good_rows(), good_rows()[0], row(price=0)])
    accepted = accepted_events(
        file,
        SETTINGS,
        mapping={},
        timezone=None,
        currency=None,
        allow=frozenset(),
        now=NOW,
        progress=silent,
        key=KEY.encode(),
    )
    assert accepted.height == 9
    assert accepted["occurred_at"].is_sorted()
    newest = accepted.tail(4).drop("source", "event_month").to_dicts()
    assert not lake.exists("events")
    inbox.append([Event.model_validate(fields) for fields in newest], "web")
    assert drain_inbox(inbox, lake, SETTINGS).accepted == 4
    report = take(file, lake)
    assert (report.accepted, report.duplicate, report.refused) == (5, 5, {"price_not_positive": 1})
    inbox.close()


def test_a_drain_takes_what_is_new(lake: Lake, inbox: Inbox) -> None:
    assert drain_inbox(inbox, lake, SETTINGS).rows == 0
    assert not lake.exists("events")
    inbox.append([event(event_id=f"e-{i}") for i in range(3)], "web")
    assert drain_inbox(inbox, lake, SETTINGS).accepted == 3
    again = drain_inbox(inbox, lake, SETTINGS)
    assert (again.rows, again.events_version) == (0, 0)
    inbox.append([event(event_id="e-2"), event(event_id="e-3")], "web")
    assert drain_inbox(inbox, lake, SETTINGS).accepted == 1
    assert sorted(lake.read("events").collect()["event_id"]) == ["e-0", "e-1", "e-2", "e-3"]
    inbox.close()


def test_a_drain_goes_on_in_batches(lake: Lake, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.ingest.INBOX_BATCH", 2)
    inbox.append([event(event_id=f"e-{i}") for i in range(5)], "web")
    assert (drain_inbox(inbox, lake, SETTINGS).accepted, lake.version("events")) == (5, 2)
    inbox.close()


def test_a_refused_event_of_the_inbox_is_kept_once_and_not_read_again(lake: Lake, inbox: Inbox) -> None:
    inbox.append([event(category="_non_product")], "web")
    report = drain_inbox(inbox, lake, SETTINGS, now=NOW)
    assert (report.accepted, report.refused) == (0, {"not_a_product": 1})
    assert drain_inbox(inbox, lake, SETTINGS).rows == 0
    kept = lake.read("quarantine").collect().row(0, named=True)
    assert (kept["row_id"], kept["source"]) == (f"inbox-{inbox.identity}-1", "inbox")
    assert Event.model_validate_json(kept["row"]) == event(category="_non_product")
    inbox.close()


def test_events_of_another_currency_or_age_are_refused_in_the_drain(
    tmp_path: Path, lake: Lake, inbox: Inbox
) -> None:
    many = [good | {"order_id": f"{good['order_id']}-{i}"} for good in good_rows() for i in range(50)]
    take(write(tmp_path / "shop.parquet", many), lake)
    inbox.append(
        [
            event(event_id="euro", currency="EUR", occurred_at="2026-08-20T00:00:00Z"),
            event(event_id="old", occurred_at="2001-01-01T00:00:00Z"),
            event(event_id="after a pause", occurred_at="2026-11-01T00:00:00Z"),
        ],
        "web",
    )
    report = drain_inbox(inbox, lake, SETTINGS)
    assert (report.accepted, report.refused) == (1, {"isolated_date": 1, "other_currency": 1})
    inbox.close()


def test_a_new_inbox_starts_again_and_its_old_events_are_duplicates(
    tmp_path: Path, lake: Lake, inbox: Inbox
) -> None:
    """Its sequence starts at 1: without the inbox's identity the lake would take its events for known ones."""
    inbox.append([event(event_id=f"e-{i}") for i in range(5)], "web")
    drain_inbox(inbox, lake, SETTINGS)
    inbox.close()
    fresh = Inbox(tmp_path / "new.sqlite")
    fresh.append([event(event_id="e-4"), event(event_id="e-5")], "web")
    report = drain_inbox(fresh, lake, SETTINGS)
    assert (report.accepted, report.duplicate) == (1, 1)
    fresh.close()


def test_an_older_copy_of_the_inbox_is_refused(tmp_path: Path, lake: Lake, inbox: Inbox) -> None:
    """Its next events would get numbers that the lake has passed already, and be lost."""
    inbox.append([event(event_id="e-0")], "web")
    inbox.close()
    copy = (tmp_path / "inbox.sqlite").read_bytes()
    newer = Inbox(tmp_path / "inbox.sqlite")
    newer.append([event(event_id="e-1")], "web")
    drain_inbox(newer, lake, SETTINGS)
    newer.close()
    (tmp_path / "inbox.sqlite").write_bytes(copy)
    older = Inbox(tmp_path / "inbox.sqlite")
    with pytest.raises(
        StoreUnavailable, match=r"has taken event 2 of inbox '.*', which ends at 1: this is an older"
    ):
        drain_inbox(older, lake, SETTINGS)
    older.close()
