"""Rows of any file and of the inbox come out in one form."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import BadEvents
from ml.event_rows import ROW_SCHEMA, Reading, digests, row_json, rows_of_events, rows_of_file
from ml.event_store import StoredEvent
from ml.events import canonical_product_id
from ml.mapping import map_columns
from ml.pseudonym import pseudonym
from tests.ml.small_shop import KEY, row
from tests.ml.test_events import event


def read(*rows: dict[str, Any], currency: str | None = None, **said: str) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), infer_schema_length=None)
    return rows_of_file(frame, "shop.csv", Reading(map_columns(frame.columns, said), None, currency))


def without(name: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in row(**changes).items() if key != name}


def test_a_row_in_its_common_form() -> None:
    rows = read(row(), row(product_id=" a "))
    assert rows.schema == ROW_SCHEMA
    first = rows.row(0, named=True)
    assert {name: first[name] for name in ("file", "row", "event_type", "unit_price_cents", "quantity")} == {
        "file": "shop.csv",
        "row": 1,
        "event_type": "purchase",
        "unit_price_cents": 250,
        "quantity": 3,
    }
    assert rows["product_id"].to_list() == ["A", "A"]


def test_the_id_is_the_hash_of_every_column_sorted_by_name() -> None:
    """Computed again with the json module; the order of the columns does not matter, each value does."""
    rows = read(row(note="x"))
    text = json.dumps(
        {name: None if value is None else str(value) for name, value in sorted(row(note="x").items())}
        | {"event_time": "2026-06-15 10:00:00.000000+00:00"},
        separators=(",", ":"),
    )
    assert rows["raw"][0] == text
    assert rows["event_id"][0] == hashlib.sha256(text.encode()).hexdigest()[:32]
    turned = {name: row(note="x")[name] for name in reversed(row(note="x"))}
    assert read(turned)["event_id"][0] == rows["event_id"][0]
    assert read(row(note="y"))["event_id"][0] != rows["event_id"][0]


def test_ids_of_one_file_are_pinned() -> None:
    """A release that spells rows differently would take every old file in a second time."""
    rows = read(row(price=0.1, note=None, flag=True, at=datetime(2026, 1, 1)))  # noqa: DTZ001
    assert rows["event_id"][0] == "b676fcf587a330c0e0cc505ec3704c82"


def test_with_a_key_people_are_hidden_and_other_columns_not_kept() -> None:
    sent = pl.DataFrame([row(customer_id=13085.0, user_session="s-1", email="ali@shop.example")])
    columns = map_columns(sent.columns, {})
    plain = rows_of_file(sent, "shop.csv", Reading(columns, None, None))
    hidden = rows_of_file(sent, "shop.csv", Reading(columns, None, None, KEY.encode())).row(0, named=True)
    assert hidden["customer_id"] == pseudonym("13085", KEY.encode())
    assert hidden["session_id"] == pseudonym("s-1", KEY.encode(), "session_id")
    assert json.loads(hidden["raw"]) == {
        name: value for name, value in json.loads(plain["raw"][0]).items() if name != "email"
    } | {"customer_id": hidden["customer_id"], "user_session": hidden["session_id"]}
    text = plain["raw"][0].encode()
    assert hidden["event_id"] == hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()[:32]


def test_a_file_without_people_has_the_same_ids_with_and_without_a_key() -> None:
    """What earlier releases took in under these ids is known again."""
    sent = pl.DataFrame([without("customer_id", note="x")])
    columns = map_columns(sent.columns, {})
    plain, keyed = (
        rows_of_file(sent, "shop.csv", Reading(columns, None, None, key)) for key in (None, KEY.encode())
    )
    assert plain["event_id"].to_list() == keyed["event_id"].to_list()


def test_digests_do_not_depend_on_the_batch() -> None:
    many = pl.Series([str(i) for i in range(100_001)])
    assert digests(many)[100_000] == digests(pl.Series(["100000"]))[0]


def test_rows_of_types_that_json_has_not_are_still_told_apart() -> None:
    frame = pl.DataFrame({"b": [b"\x00\xff", b"\x01"], "l": [[1, 2], [3]], "n": [float("nan"), 1.5]})
    assert row_json(frame).to_list() == [
        '{"b":"00ff","l":"{\\"l\\":[1,2]}","n":"NaN"}',
        '{"b":"01","l":"{\\"l\\":[3]}","n":"1.5"}',
    ]


def test_ids_of_the_file_are_kept() -> None:
    assert read(row(event_id=" e-1 "))["event_id"].to_list() == ["e-1"]


@pytest.mark.parametrize(
    ("changes", "kind", "quantity"),
    [
        ({}, "purchase", 3),
        ({"quantity": -2}, "return", 2),
        ({"quantity": 0}, "purchase", 0),
        ({"event_type": "Purchase"}, "purchase", 3),
        ({"event_type": "return", "quantity": -2}, "return", 2),
        ({"event_type": "purchase", "quantity": -2}, "purchase", -2),
        ({"event_type": "add_to_cart"}, "cart", 3),
        ({"event_type": "adjustment"}, "adjustment", 3),
        ({"event_type": "view", "quantity": None}, "view", 1),
    ],
)
def test_types_and_signs(changes: dict[str, Any], kind: str, quantity: float) -> None:
    rows = read(row(**changes))
    assert rows.select("event_type", "quantity").row(0) == (kind, quantity)


def test_a_file_of_views_needs_no_quantity_and_any_other_does() -> None:
    assert read(without("quantity", event_type="view"))["quantity"].to_list() == [1]
    with pytest.raises(BadEvents, match="known as quantity; name it with --map quantity=COLUMN"):
        read(without("quantity", event_type="view"), without("quantity", event_type="purchase"))
    with pytest.raises(BadEvents, match="known as quantity"):
        read(without("quantity"))


@pytest.mark.parametrize(
    ("price", "cents"),
    [
        (2.55, 255),
        (2.675, 268),
        (0.004, 0),
        ("2.55", 255),
        ("2,55", 255),
        ("1,234", None),
        (" 3 ", 300),
        (None, None),
    ],
)
def test_prices_are_rounded_to_cents(price: object, cents: int | None) -> None:
    rows = read(row(price=price))
    assert rows["unit_price_cents"].to_list() == [cents]
    assert rows["unit_price_cents_given"].to_list() == [price is not None]


def test_prices_in_cents_are_taken_as_they_are() -> None:
    assert read(without("price", unit_price_cents=255))["unit_price_cents"].to_list() == [255]


def test_a_missing_value_differs_from_an_unreadable_one() -> None:
    rows = read(row(quantity="3"), row(quantity="three"), row(quantity=""), row(quantity=None))
    assert rows.select("quantity", "quantity_given").rows() == [
        (3, True),
        (None, True),
        (None, False),
        (None, False),
    ]
    assert read(row(price=float("nan"))).select("unit_price_cents", "unit_price_cents_given").rows() == [
        (None, False)
    ]


def test_currency_and_category_have_defaults() -> None:
    assert read(without("currency"), currency="EUR")["currency"].to_list() == ["EUR"]
    assert read(row(currency="gbp"), row(currency=None), currency="EUR")["currency"].to_list() == [
        "GBP",
        "EUR",
    ]
    assert read(row(category=" "), without("category"))["category"].to_list() == ["unknown", "unknown"]


def test_ids_that_a_tool_kept_as_decimals_lose_their_zero() -> None:
    assert read(row(customer_id=13085.0), row(customer_id=None))["customer_id"].to_list() == ["13085", None]
    assert read(row(customer_id=1.5), row(customer_id=2.0))["customer_id"].to_list() == ["1.5", "2.0"]


@given(st.lists(st.text(max_size=5), min_size=1, max_size=5))
def test_product_ids_are_spelled_as_the_collector_spells_them(ids: list[str]) -> None:
    rows = read(*(row(product_id=text) for text in ids))
    assert rows["product_id"].to_list() == [canonical_product_id(text) or None for text in ids]


def test_events_of_the_inbox_come_in_the_same_form() -> None:
    stored = StoredEvent(
        7, event(order_id="o-1", event_type="return"), "web", datetime(2026, 3, 2, tzinfo=UTC)
    )
    rows = rows_of_events([stored], "inbox")
    assert rows.schema == ROW_SCHEMA
    found = rows.row(0, named=True)
    assert found["raw"] == stored.event.model_dump_json()
    assert {
        name: found[name] for name in ("event_type", "quantity", "unit_price_cents", "order_id", "file")
    } == {
        "event_type": "return",
        "quantity": 2,
        "unit_price_cents": 255,
        "order_id": "o-1",
        "file": "inbox",
    }
