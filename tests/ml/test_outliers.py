"""Entry errors and orders that were taken back at once are counted, kept and not learned from."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.data_quality import data_quality
from ml.lake import Lake
from ml.months import shop_month
from ml.outliers import CANCELLED, GIANT, counted, set_aside
from ml.panel import build_panel, load_history
from ml.settings import MlSettings
from tests.ml.small_shop import NOW, SETTINGS, good_rows, row, take, write

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
RETAIL = DATA / "online_retail_ii" / "events.parquet"


def event(event_id: str, kind: str, when: datetime, quantity: int, **changes: Any) -> dict[str, Any]:
    usual = {"product_id": "A", "customer_id": "c", "order_id": None, "month": when.date().replace(day=1)}
    return {
        "event_id": event_id,
        "event_type": kind,
        "occurred_at": when,
        "quantity": quantity,
        **usual,
        **changes,
    }


def aside(events: Sequence[dict[str, Any]], trusted: Sequence[str] = ()) -> dict[str, str]:
    schema = {"customer_id": pl.String(), "order_id": pl.String()}
    frame = pl.DataFrame(events, schema_overrides=schema, infer_schema_length=None)
    return dict(set_aside(frame.lazy(), trusted).iter_rows())


def pair(hours: float = 1.0, bought: int = 50, returned: int = 50, **changes: Any) -> list[dict[str, Any]]:
    """A purchase, and a return that may differ."""
    back = NOON + timedelta(hours=hours)
    return [event("buy", "purchase", NOON, bought), event("back", "return", back, returned, **changes)]


def test_a_purchase_taken_back_within_a_day_is_set_aside_with_its_return() -> None:
    assert aside(pair()) == {"buy": CANCELLED, "back": CANCELLED}
    assert aside(pair(hours=24)) == {"buy": CANCELLED, "back": CANCELLED}


@pytest.mark.parametrize(
    "events",
    [
        pair(hours=24.01),
        pair(hours=-1),
        pair(returned=49),
        pair(customer_id="d"),
        pair(customer_id=None),
        pair(product_id="B"),
    ],
    ids=["later", "before", "in part", "another customer", "nobody", "another product"],
)
def test_other_returns_are_returns(events: list[dict[str, Any]]) -> None:
    assert aside(events) == {}


def test_the_order_tells_where_the_customer_is_not_known() -> None:
    unknown = {"customer_id": None, "order_id": "o-1"}
    assert set(aside([item | unknown for item in pair()])) == {"buy", "back"}


def test_one_return_takes_back_one_purchase() -> None:
    first = event("first", "purchase", NOON - timedelta(hours=2), 50)
    assert set(aside([first, *pair()])) == {"buy", "back"}


def test_a_return_of_the_next_month_changes_no_closed_month() -> None:
    night = datetime(2026, 6, 30, 23, tzinfo=UTC)
    events = [event("buy", "purchase", night, 9), event("back", "return", night + timedelta(hours=2), 9)]
    assert aside(events) == {}


def usual(count: int = 40, units: int = 3) -> list[dict[str, Any]]:
    """So many purchases, one a day from the first of May."""
    start = datetime(2026, 5, 1, tzinfo=UTC)
    return [event(f"u{i}", "purchase", start + timedelta(days=i), units) for i in range(count)]


@pytest.mark.parametrize(
    ("others", "units", "giant"),
    [(40, 61, True), (40, 60, False), (29, 10_000, False), (30, 61, True)],
    ids=["above 20 times", "20 times", "too few others", "just enough others"],
)
def test_a_giant_is_more_than_twenty_times_the_largest_of_at_least_thirty(
    others: int, units: int, *, giant: bool
) -> None:
    events = [*usual(others), event("big", "purchase", NOON, units)]
    assert aside(events) == ({"big": GIANT} if giant else {})


def test_two_giants_vouch_for_each_other_unless_there_are_many_others() -> None:
    big = [event(f"big{i}", "purchase", NOON, 1000) for i in range(2)]
    assert aside([*usual(40), *big]) == {}
    many = [event(f"m{i}", "purchase", NOON - timedelta(minutes=i), 3) for i in range(2500)]
    assert aside([*many, *big]) == {"big0": GIANT, "big1": GIANT}


def test_what_comes_in_later_months_changes_no_judgement() -> None:
    later = NOON + timedelta(days=40)
    events = [*usual(40), event("big", "purchase", NOON, 200)]
    busier = [event(f"l{i}", "purchase", later, 500) for i in range(50)]
    assert aside(events) == {"big": GIANT}
    assert aside([*events, *busier]) == {"big": GIANT}


def test_the_rule_agrees_with_one_that_compares_all_with_all() -> None:
    """The shortcut that leaves out most pairs must lose none."""
    events = []
    for product in range(30):
        for i in range(60):
            when = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=(i * 7 + product) % 120)
            units = 1 + (i * 37 + product * 11) % 9 + (2000 if (i * 13 + product) % 97 == 0 else 0)
            events.append(event(f"{product}-{i}", "purchase", when, units, product_id=f"P{product}"))
    slow = set()
    for one in events:
        others = sorted(
            o["quantity"]
            for o in events
            if o["product_id"] == one["product_id"] and o["month"] <= one["month"] and o is not one
        )
        if len(others) >= 30 and one["quantity"] > 20 * others[-1]:
            slow.add(one["event_id"])
    assert len(slow) > 3
    assert set(aside(events)) == slow


def test_a_trusted_event_is_demand() -> None:
    events = [*usual(40), event("big", "purchase", NOON, 200)]
    assert aside(events, trusted=["big"]) == {}


def test_the_panel_leaves_it_out_the_lake_keeps_it_and_both_say_so(tmp_path: Path) -> None:
    wrong = [
        row(event_id="e-1", event_type=kind, event_time=NOON + timedelta(minutes=at), quantity=74_215)
        for at, kind in ((0, "purchase"), (12, "return"))
    ]
    named = [item | {"event_id": f"g-{i}", "event_type": "purchase"} for i, item in enumerate(good_rows())]
    end = row(event_id="z", event_type="purchase", event_time=datetime(2026, 9, 2, tzinfo=UTC))
    wrong[1]["event_id"] = "e-2"
    lake = Lake(tmp_path / "lake")
    take(write(tmp_path / "shop.parquet", [*named, *wrong, end]), lake)
    assert build_panel(lake, SETTINGS, NOW).set_aside == {CANCELLED: 2}
    assert data_quality(lake)["set_aside"] == {CANCELLED: 2}
    assert load_history(lake).units[0].tolist() == [6, 7, 8]
    assert lake.read("events").filter(pl.col("quantity") == 74_215).collect().height == 2
    trusting = MlSettings(shop_zone="UTC", trusted_events=("e-1",))
    assert build_panel(lake, trusting, NOW).set_aside == {CANCELLED: 1}
    assert load_history(lake).units[0].tolist() == [6 + 74_215, 7, 8]


if RETAIL.exists():

    @pytest.mark.shared_data
    def test_the_two_entry_errors_of_online_retail_are_found() -> None:
        source = pl.scan_parquet(RETAIL).filter(pl.col("event_type") != "adjustment").unique().collect()
        events = source.select(
            pl.int_range(pl.len()).cast(pl.String).alias("event_id"),
            "event_type",
            pl.col("event_time").dt.replace_time_zone("UTC").alias("occurred_at"),
            pl.col("product_id").str.to_uppercase(),
            pl.col("quantity").abs(),
            pl.col("user_id").cast(pl.String).alias("customer_id"),
            "order_id",
        ).with_columns(shop_month(pl.col("occurred_at"), "UTC").alias("month"))
        found = set_aside(events.lazy())
        units = events.join(found, on="event_id").filter(pl.col("event_type") == "purchase")["quantity"]
        assert {74_215, 80_995} <= set(units)
        assert counted(found)[CANCELLED] % 2 == 0
        sold = int(events.filter(pl.col("event_type") == "purchase")["quantity"].sum())
        assert 0.01 * sold < int(units.sum()) < 0.05 * sold, (
            "a few percent of units, not a second opinion on all of them"
        )
