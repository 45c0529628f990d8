"""Which column of a shop's file is which field of an event, said by the caller or guessed by its name."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ml.errors import BadEvents
from ml.events import Event, EventType

PRICE: Final = "price"
"""A price in whole currency units (2.55), the usual form in files; `unit_price_cents` is the other one."""

FIELDS: Final[tuple[str, ...]] = (*Event.model_fields, PRICE)

_GUESSES: Final[dict[str, tuple[str, ...]]] = {
    "event_id": ("event_id", "event_uuid"),
    "event_type": ("event_type", "event", "type", "action", "behavior"),
    "occurred_at": (
        *("occurred_at", "event_time", "timestamp", "invoice_date", "order_date", "order_purchase_timestamp"),
        *("purchased_at", "created_at", "datetime", "date", "time"),
    ),
    "product_id": (
        "product_id",
        "stock_code",
        "sku",
        "item_id",
        "product_code",
        "article_id",
        "product",
        "item",
    ),
    "category": (
        "category",
        "category_name",
        "category_code",
        "product_category",
        "category_id",
        "department",
    ),
    "unit_price_cents": ("unit_price_cents", "price_cents"),
    PRICE: ("price", "unit_price", "item_price", "sale_price"),
    "currency": ("currency", "currency_code"),
    "quantity": ("quantity", "qty", "units", "item_quantity"),
    "order_id": (
        "order_id",
        "invoice",
        "invoice_no",
        "invoice_id",
        "order",
        "order_number",
        "transaction_id",
    ),
    "customer_id": ("customer_id", "user_id", "customer", "user", "client_id", "buyer_id", "visitor_id"),
    "session_id": ("session_id", "user_session", "session"),
    "campaign": ("campaign", "campaign_id", "utm_campaign"),
    "segment": ("segment", "country", "state", "region"),
}
"""Names that shops use, the surest first; compared in lower case without spaces, dots and underscores."""

_TYPE_NAMES: Final[dict[EventType, tuple[str, ...]]] = {
    EventType.view: ("view", "product_view", "page_view"),
    EventType.cart: ("cart", "add_to_cart"),
    EventType.purchase: ("purchase", "order", "sale", "transaction"),
    EventType.return_: ("return", "refund"),
}


def map_columns(found: Sequence[str], said: Mapping[str, str]) -> dict[str, str]:
    """Source column by event field (or `price`): what was said, then guesses for the rest.

    Args:
        found: Column names of the file.
        said: Column by field; a column named here is not guessed for another field.

    Raises:
        BadEvents: `unknown-columns`: a said field or column does not exist, or a field that every event needs
            has no column.
    """
    _check_said(found, said)
    free = [column for column in found if column not in said.values()]
    chosen = dict(said)
    for field, names in _GUESSES.items():
        if field not in chosen and (column := _first(free, names)) is not None:
            chosen[field] = column
    if PRICE in said:
        chosen.pop("unit_price_cents", None)
    elif "unit_price_cents" in chosen:
        chosen.pop(PRICE, None)
    _check_complete(found, chosen)
    return chosen


def no_column_for(found: Sequence[str], field: str) -> BadEvents:
    """The refusal for a file without a column for `field`."""
    return BadEvents(
        "unknown-columns",
        f"none of the columns {list(found)} is known as {field}; name it with --map {field}=COLUMN",
    )


def canonical_event_types() -> dict[str, str]:
    """Event type by the names that files use for it, in lower case without spaces, dots and underscores."""
    return {_plain(name): kind.value for kind, names in _TYPE_NAMES.items() for name in names}


def _check_said(found: Sequence[str], said: Mapping[str, str]) -> None:
    for field, column in said.items():
        if field not in FIELDS:
            raise BadEvents(
                "unknown-columns",
                f"--map {field}={column} names no field; the fields are {', '.join(FIELDS)}",
            )
        if column not in found:
            raise BadEvents(
                "unknown-columns",
                f"--map {field}={column} names no column; the file has the columns {list(found)}",
            )


def _check_complete(found: Sequence[str], chosen: Mapping[str, str]) -> None:
    for field in ("occurred_at", "product_id"):
        if field not in chosen:
            raise no_column_for(found, field)
    if PRICE not in chosen and "unit_price_cents" not in chosen:
        raise no_column_for(found, PRICE)


def _first(found: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {_plain(column): column for column in reversed(found)}
    return next((by_name[_plain(name)] for name in names if _plain(name) in by_name), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
