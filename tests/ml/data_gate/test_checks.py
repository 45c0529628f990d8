"""Every check fires at its fault and at nothing else, and is silent where nothing is wrong."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ml.columns import EVENT_SCHEMA, PANEL_SCHEMA
from ml.data_gate.check import Check, overall
from ml.data_gate.gate import OF_RECENT, Data, checks
from ml.data_gate.settings import QualitySettings
from ml.data_gate.whole import Arrivals
from ml.settings import MlSettings
from tests.ml.data_gate import steady_shop as shop

GOOD = shop.steady_shop()
DAYS = 14
NOW = datetime(2026, 7, 1, 9, tzinfo=UTC)
PANEL = pl.DataFrame(
    [
        {
            "product_id": "P0",
            "category": "bags",
            "month": date(2026, month, 1),
            **dict.fromkeys([name for name, kind in PANEL_SCHEMA.items() if kind == pl.Int64], 3),
            "mean_price_cents": 100.0,
            "campaign_share": 0.0,
        }
        for month in (4, 5)
    ],
    schema=PANEL_SCHEMA,
)
NOTHING_REFUSED = Arrivals(
    1_000, pl.DataFrame(schema={"row_id": pl.String, "reason": pl.String, "source": pl.String})
)


def judged(
    events: pl.DataFrame, panel: pl.DataFrame = PANEL, arrived: Arrivals = NOTHING_REFUSED, **changes: Any
) -> dict[str, Check]:
    settings = MlSettings(quality=QualitySettings(days=changes.pop("days", DAYS), **changes))
    data = Data(events.lazy(), panel, lambda _: arrived)
    return {check.name: check for check in checks(data, settings, now=NOW, as_of=NOW)}


def found(of: dict[str, Check]) -> set[str]:
    """Names of the checks that fail."""
    return {name for name, check in of.items() if check.verdict == "fail"}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shop_in_which_nothing_changes_passes_every_check(seed: int) -> None:
    verdicts = {name: check.verdict for name, check in judged(shop.steady_shop(seed=seed)).items()}
    assert set(verdicts.values()) == {"pass"}
    assert set(verdicts) == {*OF_RECENT, "freshness", "events_schema", "panel_schema", "refused"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (shop.half_lost, {"volume"}),
        (shop.day_missing, {"volume", "gaps", "silent"}),
        (shop.source_silent, {"silent"}),
        (shop.sent_twice, {"repeated"}),
        (shop.prices_in_cents_of_cents, {"price_jumps"}),
        (shop.categories_renamed, {"unseen_categories"}),
        (shop.products_renamed, {"unseen_products"}),
        (shop.in_pieces, {"quantities"}),
        (shop.products_gone, {"vanished"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_is_found_by_its_check_alone(fault: shop.Fault, expected: set[str]) -> None:
    assert found(judged(fault(GOOD, shop.ZONE))) == expected


def test_a_day_in_another_time_zone_is_found_by_its_hours() -> None:
    """A day's hours say little with few orders: three hours show in a shop that has five hundred."""
    busy = shop.steady_shop(per_day=1_000.0)
    assert found(judged(busy)) == set()
    assert found(judged(shop.zone_lost(busy, shop.ZONE))) == {"hours"}


def test_a_found_day_names_its_rows_and_counts_them_all() -> None:
    made = judged(shop.prices_in_cents_of_cents(GOOD), rows_named=5)["price_jumps"]
    purchases = GOOD.filter(shop.of_last_day(GOOD, shop.ZONE) & (pl.col("event_type") == "purchase"))
    assert made.count == pytest.approx(purchases.height, rel=0.02)
    assert len(made.rows) == 5
    assert {row["event_id"] for row in made.rows} <= set(purchases["event_id"])
    assert all(int(row["price_cents"]) > 50 * float(row["usual_cents"]) for row in made.rows)
    assert {row["day"] for row in made.rows} == {shop.LAST.isoformat()}


def test_products_that_went_are_named() -> None:
    made = judged(shop.products_gone(GOOD))["vanished"]
    (category,) = {
        found
        for found in shop.CATEGORIES
        if shop.products_gone(GOOD).filter(category=found).height < GOOD.filter(category=found).height
    }
    gone = set(GOOD.filter(category=category)["product_id"])
    assert made.count == len(made.rows) >= 5
    assert {row["product_id"] for row in made.rows} <= gone


def test_a_day_that_is_known_to_be_unusual_is_not_judged() -> None:
    assert found(judged(shop.day_missing(GOOD), known_days=[shop.LAST])) == set()


@pytest.mark.parametrize(("share", "expected"), [(1.0, set()), (0.3, {"silent"})])
def test_a_source_that_goes_on_under_another_name_is_not_silent(share: float, expected: set[str]) -> None:
    """A new source says nothing of one that fell silent unless it has about as many events."""
    of_web = shop.of_last_day(GOOD, shop.ZONE) & (pl.col("source") == "web")
    kept = ~of_web | (pl.int_range(pl.len()).over(of_web) < share * GOOD.filter(of_web).height)
    renamed = pl.when(of_web).then(pl.lit("shop")).otherwise("source").alias("source")
    assert found(judged(GOOD.filter(kept).with_columns(renamed))) == expected


def test_too_many_events_only_warn() -> None:
    more = GOOD.filter(shop.of_last_day(GOOD, shop.ZONE)).with_columns(
        pl.format("{}-m", "event_id").alias("event_id"), pl.col("occurred_at") - timedelta(seconds=30)
    )
    made = judged(pl.concat([GOOD, more]))
    assert found(made) == set()
    assert (made["volume"].verdict, made["volume"].threshold) == ("warn", None)


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("missing_product_id", {"product_id": None}),
    ("missing_occurred_at", {"occurred_at": None}),
    ("before_1970", {"occurred_at": datetime(1960, 1, 1, tzinfo=UTC)}),
    ("future_date", {"occurred_at": NOW + timedelta(days=2)}),
    ("unknown_event_type", {"event_type": "gift"}),
    ("quantity_out_of_range", {"quantity": 0}),
    ("quantity_out_of_range", {"quantity": 10**9}),
    ("price_out_of_range", {"unit_price_cents": 0}),
    ("unknown_currency", {"currency": "lira"}),
    ("month_of_another_time", {"event_month": "2026-07"}),
    ("text_too_long", {"customer_id": "x" * 300}),
    ("control_character", {"segment": "a\x00"}),
]


@pytest.mark.parametrize(("reason", "change"), BROKEN)
def test_a_value_that_no_event_may_have_fails_and_names_its_event(
    reason: str, change: dict[str, Any]
) -> None:
    place = GOOD.with_row_index().filter(shop.of_last_day(GOOD, shop.ZONE))["index"][0]
    one = pl.int_range(pl.len()) == place
    broken = GOOD.with_columns(
        pl.when(one).then(pl.lit(value, EVENT_SCHEMA[name])).otherwise(pl.col(name)).alias(name)
        for name, value in change.items()
    )
    made = judged(broken)["events_schema"]
    assert made.verdict == "fail"
    assert {(row["event_id"], row["reason"]) for row in made.rows} >= {(GOOD["event_id"][place], reason)}


def test_an_id_that_comes_twice_and_a_second_currency_fail() -> None:
    last = GOOD.tail(1)
    assert found(judged(pl.concat([GOOD, last]))) == {"duplicates"}
    foreign = GOOD.with_columns(
        pl.when(pl.int_range(pl.len()) == 7_000).then(pl.lit("EUR")).otherwise("currency").alias("currency")
    )
    made = judged(foreign, days=62)
    assert found(made) == {"currency"}
    assert [row["event_id"] for row in made["currency"].rows] == [GOOD["event_id"][7_000]]


def test_a_broken_panel_names_product_and_month() -> None:
    broken = PANEL.with_columns(pl.lit(-1, pl.Int64).alias("views"))
    made = judged(GOOD, panel=broken)
    assert found(made) == {"panel_schema"}
    assert made["panel_schema"].rows[0] == {
        "product_id": "P0",
        "month": "2026-04-01",
        "reason": "views_negative",
    }
    assert found(judged(GOOD, panel=PANEL.clear())) == {"panel_schema"}


@pytest.mark.parametrize(("days", "verdict"), [(1, "pass"), (3, "warn"), (8, "fail")])
def test_data_grows_stale(days: int, verdict: str) -> None:
    newest: datetime = GOOD["occurred_at"].max()  # type: ignore[assignment]
    settings = MlSettings(quality=QualitySettings(days=DAYS))
    data = Data(GOOD.lazy(), PANEL, lambda _: NOTHING_REFUSED)
    made = checks(data, settings, now=NOW + timedelta(days=30), as_of=newest + timedelta(days=days))
    assert {check.name: check.verdict for check in made}["freshness"] == verdict


@pytest.mark.parametrize(("bad", "verdict"), [(10, "pass"), (100, "warn"), (400, "fail")])
def test_refused_rows_count_against_those_that_came_with_them(bad: int, verdict: str) -> None:
    rows = pl.DataFrame({"row_id": [str(i) for i in range(bad)], "reason": "missing_price", "source": "web"})
    made = judged(GOOD, arrived=Arrivals(1_000, rows))["refused"]
    assert (made.verdict, made.count) == (verdict, bad)
    assert made.rows == ({"reason": "missing_price", "source": "web", "refused": bad},)


def test_an_empty_lake_fails_with_the_reason() -> None:
    made = judged(GOOD.clear(), panel=PANEL.clear(), arrived=Arrivals(0, NOTHING_REFUSED.refused))
    assert found(made) == {"freshness", "panel_schema"}
    assert "no event" in made["freshness"].reason
    assert overall(list(made.values())) == "fail"


def test_a_young_shop_is_not_judged_by_weeks_it_does_not_have() -> None:
    made = judged(shop.steady_shop(days=10))
    assert found(made) == set()
    assert made["volume"].verdict == "not enough data"
