"""The event contract: what is accepted, in which form it is kept, and what is refused."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.errors import BadEvents
from ml.events import Event, EventType, canonical_product_id, check_not_future


def event(**changes: Any) -> Event:
    """A valid purchase with some fields changed."""
    fields: dict[str, Any] = {
        "event_id": "e-1",
        "event_type": "purchase",
        "occurred_at": "2026-03-01T00:30:00+03:00",
        "product_id": "85123A",
        "unit_price_cents": 255,
        "currency": "TRY",
        "quantity": 2,
    }
    return Event.model_validate(fields | changes)


def test_times_are_kept_in_utc() -> None:
    """Half past midnight of 1 March in Istanbul is still February in UTC."""
    assert event().occurred_at == datetime(2026, 2, 28, 21, 30, tzinfo=UTC)
    assert event().occurred_at.utcoffset() == timedelta(0)


def test_product_ids_have_one_spelling() -> None:
    assert event(product_id=" 85123a ").product_id == "85123A"


def test_a_missing_category_is_unknown_and_optional_fields_are_absent() -> None:
    assert event().category == "unknown"
    assert event().order_id is None


def test_a_return_is_its_own_type_with_a_positive_quantity() -> None:
    assert event(event_type="return").event_type is EventType.return_
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        event(event_type="return", quantity=-2)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("occurred_at", "2026-03-01T00:30:00", "timezone"),
        ("occurred_at", "0001-01-01T00:00:00+14:00", "cannot|outside"),
        ("occurred_at", "1969-12-31T23:59:59Z", "before 1970"),
        ("quantity", 0, "greater than or equal to 1"),
        ("quantity", 10**12, "less than or equal to 1000000"),
        ("quantity", 2.0, "valid integer"),
        ("quantity", True, "valid integer"),
        ("unit_price_cents", 0, "greater than or equal to 1"),
        ("unit_price_cents", 10**12, "less than or equal"),
        ("currency", "try", "match pattern"),
        ("currency", "EURO", "match pattern"),
        ("event_id", "  ", "at least 1 character"),
        ("product_id", "x" * 201, "at most 200 characters"),
        ("customer_id", "", "at least 1 character"),
        ("category", "a\x00b", "match pattern"),
        ("event_type", "adjustment", "'view', 'cart', 'purchase' or 'return'"),
        ("colour", "red", "Extra inputs"),
    ],
)
def test_each_bad_field_is_refused_by_name(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refusal:
        event(**{field: value})
    assert refusal.value.errors()[0]["loc"] == (field,)


def test_the_content_hash_follows_every_field_but_the_id() -> None:
    same = event(event_id="other", occurred_at="2026-02-28T21:30:00Z", product_id="85123a")
    assert same.content_hash() == event().content_hash()
    changes: dict[str, object] = {
        "event_type": "return",
        "occurred_at": "2026-03-01T00:30:01+03:00",
        "product_id": "85123B",
        "category": "bags",
        "unit_price_cents": 256,
        "currency": "EUR",
        "quantity": 3,
        "order_id": "o",
        "customer_id": "c",
        "session_id": "s",
        "campaign": "k",
        "segment": "g",
    }
    assert set(changes) == set(Event.model_fields) - {"event_id"}
    hashes = {event(**{name: value}).content_hash() for name, value in changes.items()}
    assert len(hashes | {event().content_hash()}) == len(changes) + 1


def test_the_content_hash_is_pinned() -> None:
    """Stored hashes outlive a release; changing the form would turn every re-send into a conflict."""
    assert event().content_hash() == "be23e87483a8b5f0b5f77b7de68375a90d676101f75ca7ecbfd28a62212e4b32"


@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30),
    occurred_at=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_the_content_hash_is_that_of_the_sorted_json_without_what_is_absent(
    text: str, occurred_at: datetime
) -> None:
    """As the first release wrote it; any shop can repeat it."""
    one = event(product_id=f"a{text}", segment=f"b{text}", occurred_at=occurred_at)
    content = one.model_dump(mode="json", exclude={"event_id"}, exclude_none=True)
    written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert one.content_hash() == hashlib.sha256(written.encode()).hexdigest()


@given(st.text(min_size=1, max_size=20))
def test_the_canonical_spelling_is_stable(text: str) -> None:
    once = canonical_product_id(text)
    assert canonical_product_id(once) == once


def test_future_events_are_refused_beyond_the_tolerance() -> None:
    moment = event().occurred_at
    check_not_future(event(), moment - timedelta(seconds=60), timedelta(seconds=60))
    with pytest.raises(BadEvents, match=r"'e-1' is dated 2026-02-28T21:30:00\+00:00.*time zone") as refusal:
        check_not_future(event(), moment - timedelta(seconds=61), timedelta(seconds=60))
    assert refusal.value.check == "future-dates"


def test_the_contract_loads_no_data_library() -> None:
    """The collector imports the contract and the inbox; its image has neither numpy nor polars."""
    script = (
        "import sys, ml.event_store; print([m for m in ('numpy', 'polars', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
