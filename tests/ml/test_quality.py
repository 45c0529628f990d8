"""Each row is refused for one named reason, and a panel that breaks a rule never reaches training."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from ml.columns import PANEL_SCHEMA
from ml.errors import QualityGateFailed
from ml.event_rows import ROW_SCHEMA
from ml.events import Event
from ml.quality import check_panel, judge_rows, row_rules

GOOD: dict[str, Any] = {
    "file": "shop.csv",
    "row": 1,
    "raw": "{}",
    "event_id": "e-1",
    "event_type": "purchase",
    "occurred_at": datetime(2026, 6, 15, tzinfo=UTC),
    "occurred_at_given": True,
    "product_id": "A",
    "category": "bags",
    "unit_price_cents": 250.0,
    "unit_price_cents_given": True,
    "currency": "TRY",
    "quantity": 3.0,
    "quantity_given": True,
    "order_id": "o-1",
    "customer_id": None,
    "session_id": None,
    "campaign": None,
    "segment": None,
}

BAD: list[tuple[str, dict[str, Any]]] = [
    ("missing_event_id", {"event_id": None}),
    ("missing_occurred_at", {"occurred_at": None, "occurred_at_given": False}),
    ("unreadable_occurred_at", {"occurred_at": None}),
    ("before_1970", {"occurred_at": datetime(1969, 12, 31, tzinfo=UTC)}),
    ("missing_product_id", {"product_id": None}),
    ("not_a_product", {"category": "_non_product"}),
    ("missing_event_type", {"event_type": None}),
    ("unknown_event_type", {"event_type": "adjustment"}),
    ("missing_quantity", {"quantity": None, "quantity_given": False}),
    ("unreadable_quantity", {"quantity": None}),
    ("quantity_not_positive", {"quantity": 0.0}),
    ("quantity_not_positive", {"quantity": -1.0}),
    ("quantity_not_whole", {"quantity": 1.5}),
    ("missing_price", {"unit_price_cents": None, "unit_price_cents_given": False}),
    ("unreadable_price", {"unit_price_cents": None}),
    ("price_not_positive", {"unit_price_cents": 0.0}),
    ("price_too_high", {"unit_price_cents": 1e12}),
    ("missing_currency", {"currency": None}),
    ("unknown_currency", {"currency": "EURO"}),
    ("text_too_long", {"customer_id": "x" * 201}),
    ("control_character", {"product_id": "A\x00"}),
]


def judge(*changes: dict[str, Any]) -> list[str | None]:
    rows = pl.DataFrame([GOOD | change for change in changes], schema=ROW_SCHEMA)
    return judge_rows(rows, ["_non_product"]).to_list()


@pytest.mark.parametrize(("reason", "change"), BAD)
def test_a_bad_row_is_refused_by_name_and_the_rows_beside_it_are_not(
    reason: str, change: dict[str, Any]
) -> None:
    assert judge({}, change, {}) == [None, reason, None]


def test_every_reason_has_a_row_here() -> None:
    assert {rule.reason for rule in row_rules([])} == {reason for reason, _ in BAD}


def test_good_rows_have_no_reason() -> None:
    assert judge({}, {"event_type": "view"}, {"quantity": 1e12}) == [None, None, None]
    assert judge_rows(pl.DataFrame(schema=ROW_SCHEMA), []).to_list() == []


def test_a_row_with_several_faults_is_counted_once_for_the_first_rule() -> None:
    assert judge({"quantity": 0.0, "unit_price_cents": 0.0, "category": "_non_product"}) == ["not_a_product"]
    assert judge({"quantity": -1.5, "unit_price_cents": 0.0}) == ["quantity_not_positive"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 1),
        ("quantity", 0),
        ("unit_price_cents", 1),
        ("unit_price_cents", 10**11),
        ("unit_price_cents", 10**11 + 1),
        ("product_id", "x" * 200),
        ("product_id", "x" * 201),
        ("segment", "a\nb"),
        ("currency", "eur"),
        ("event_type", "adjustment"),
    ],
)
def test_files_and_the_collector_have_the_same_limits(field: str, value: Any) -> None:
    """What the contract refuses as one event is refused as a row, and the other way round."""
    fields = {name: GOOD[name] for name in Event.model_fields} | {"quantity": 3, "unit_price_cents": 250}
    try:
        Event.model_validate(fields | {field: value})
        accepted = True
    except ValueError:
        accepted = False
    is_number = field in {"quantity", "unit_price_cents"}
    assert (judge({field: float(value) if is_number else value}) == [None]) is accepted


def test_rows_of_another_form_are_a_defect() -> None:
    with pytest.raises(SchemaErrors):
        judge_rows(pl.DataFrame([GOOD], schema=ROW_SCHEMA).drop("currency"), [])


def panel(*changes: dict[str, Any]) -> pl.DataFrame:
    """Product A in January, February, ... 2026, each month with its changes."""
    month: dict[str, Any] = {
        "product_id": "A",
        "category": "bags",
        "units": 5,
        "returned_units": 1,
        "returns_received": 0,
        "revenue_cents": 1250,
        "mean_price_cents": 250.0,
        "orders": 2,
        "buyers": 2,
        "views": 9,
        "carts": 4,
        "largest_order": 3,
        "active_days": 2,
        "campaign_share": 0.4,
    }
    rows = [month | {"month": date(2026, i, 1)} | change for i, change in enumerate(changes, start=1)]
    return pl.DataFrame(rows, schema=PANEL_SCHEMA)


NO_SALE = {"units": 0, "mean_price_cents": None, "orders": 0, "largest_order": 0, "campaign_share": 0.0}


def test_a_good_panel_passes() -> None:
    check_panel(panel({}, NO_SALE, {}))
    check_panel(pl.concat([panel({}, {}), panel({}).with_columns(pl.lit("B").alias("product_id"))]))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("month_missing_or_twice", {"month": date(2026, 4, 1)}),
        ("month_missing_or_twice", {"month": date(2026, 1, 1)}),
        ("units_negative", {"units": -1}),
        ("views_missing", {"views": None}),
        ("price_without_sale", {"mean_price_cents": None}),
        ("orders_above_units", {"orders": 6}),
        ("largest_order_above_units", {"largest_order": 6}),
        ("share_outside_0_to_1", {"campaign_share": 1.2}),
    ],
)
def test_a_broken_panel_is_refused_by_rule_and_row(rule: str, change: dict[str, Any]) -> None:
    with pytest.raises(
        QualityGateFailed, match=r"panel: .* of 2 rows, first product 'A' in 2026-"
    ) as refusal:
        check_panel(panel({}, change))
    assert rule in str(refusal.value)


def test_a_month_is_named_by_its_first_day() -> None:
    with pytest.raises(QualityGateFailed, match="month_not_a_first_day in 1 of 1 rows"):
        check_panel(panel({"month": date(2026, 1, 2)}))


def test_a_product_starts_with_its_first_sale() -> None:
    with pytest.raises(
        QualityGateFailed, match="no_sale_in_first_month in 1 of 2 rows, first product 'A' in 2026-01"
    ):
        check_panel(panel(NO_SALE, {}))
