"""Columns are found by the names that shops use, or said by the caller."""

import pytest

from ml.errors import BadEvents
from ml.mapping import FIELDS, canonical_event_types, map_columns


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        (
            [
                "Invoice",
                "StockCode",
                "Description",
                "Quantity",
                "InvoiceDate",
                "Price",
                "Customer ID",
                "Country",
            ],
            {
                "order_id": "Invoice",
                "product_id": "StockCode",
                "quantity": "Quantity",
                "occurred_at": "InvoiceDate",
                "price": "Price",
                "customer_id": "Customer ID",
                "segment": "Country",
            },
        ),
        (
            ["event_time", "event_type", "product_id", "category_code", "price", "user_id", "user_session"],
            {
                "occurred_at": "event_time",
                "event_type": "event_type",
                "product_id": "product_id",
                "category": "category_code",
                "price": "price",
                "customer_id": "user_id",
                "session_id": "user_session",
            },
        ),
        (
            ["date", "timestamp", "sku", "unitPrice", "QTY", "state"],
            {
                "occurred_at": "timestamp",
                "product_id": "sku",
                "price": "unitPrice",
                "quantity": "QTY",
                "segment": "state",
            },
        ),
    ],
    ids=["online-retail", "clickstream", "spellings"],
)
def test_columns_are_guessed_by_name(found: list[str], chosen: dict[str, str]) -> None:
    assert map_columns(found, {}) == chosen


def test_an_event_file_of_our_own_maps_to_itself() -> None:
    own = [field for field in FIELDS if field != "price"]
    assert map_columns(own, {}) == {field: field for field in own}


def test_what_the_caller_says_comes_before_guesses() -> None:
    found = ["when", "date", "sku", "price", "net", "qty", "state", "country"]
    said = {"occurred_at": "when", "price": "net", "segment": "state", "campaign": "country"}
    chosen = map_columns(found, said)
    assert chosen == said | {"product_id": "sku", "quantity": "qty"}


def test_a_column_that_was_said_is_not_guessed_for_another_field() -> None:
    chosen = map_columns(["date", "item", "price", "order"], {"session_id": "order", "product_id": "item"})
    assert "order_id" not in chosen


def test_cents_win_over_a_guessed_price_and_lose_to_a_said_one() -> None:
    found = ["date", "sku", "price", "price_cents"]
    assert "price" not in map_columns(found, {})
    assert "unit_price_cents" not in map_columns(found, {"price": "price"})


@pytest.mark.parametrize(
    ("found", "said", "message"),
    [
        (
            ["sku", "price"],
            {},
            r"none of the columns \['sku', 'price'\] is known as occurred_at; name it with --map occ",
        ),
        (["date", "price"], {}, "known as product_id; name it with --map product_id=COLUMN"),
        (["date", "sku", "qty"], {}, "known as price; name it with --map price=COLUMN"),
        (["date", "sku"], {"colour": "sku"}, "--map colour=sku names no field; the fields are event_id,"),
        (
            ["date", "sku"],
            {"price": "cost"},
            r"--map price=cost names no column; the file has the columns \['date'",
        ),
    ],
)
def test_a_missing_column_is_refused_with_the_option_that_helps(
    found: list[str], said: dict[str, str], message: str
) -> None:
    with pytest.raises(BadEvents, match=message) as refusal:
        map_columns(found, said)
    assert refusal.value.check == "unknown-columns"


def test_event_types_have_the_names_that_logs_use() -> None:
    names = canonical_event_types()
    assert [names[name] for name in ("purchase", "transaction", "addtocart", "refund", "view")] == [
        "purchase",
        "purchase",
        "cart",
        "return",
        "view",
    ]
    assert "adjustment" not in names
