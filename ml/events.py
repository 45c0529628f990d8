"""The event contract: what a shop sends, checked field by field.

Only pydantic is imported here, so that the collector's image stays small.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import to_json

from ml.errors import BadEvents

TEXT_LENGTH = 200
MAX_QUANTITY = 1_000_000
MAX_PRICE_CENTS = 10**11
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN_CATEGORY = "unknown"
CURRENCY_PATTERN = r"^[A-Z]{3}$"
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"


class EventType(StrEnum):
    """What a customer did; a return is an event of its own, never a negative purchase."""

    view = "view"
    cart = "cart"
    purchase = "purchase"
    return_ = "return"


def canonical_product_id(text: str) -> str:
    """The one spelling of a product id: no spaces around it, upper case (`85123a ` becomes `85123A`)."""
    return text.strip().upper()


def _utc(moment: datetime) -> datetime:
    """The same instant in UTC; refuses years a calendar cannot convert and times before 1970."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the years that can be converted to UTC") from error
    if utc < OLDEST:
        raise ValueError("is before 1970, which no web shop saw")
    return utc


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_LENGTH, pattern=TEXT_PATTERN),
]
ProductId = Annotated[Text, AfterValidator(canonical_product_id)]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Event(BaseModel):
    """One view, cart, purchase or return of one product.

    Text is stripped and holds 1 to 200 characters without control characters; `occurred_at` must name its
    offset and is kept in UTC; `unit_price_cents` is in hundredths of `currency`; numbers are JSON integers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: Text = Field(
        description="The sender's own id, which names nobody; the same id is accepted once.",
        examples=["5b0c2f5e-7c1d-4b6e-9a55-0c6f3d0c9a11"],
    )
    event_type: EventType = Field(
        description="What happened; a return is an event of its own, never a negative purchase.",
        examples=["purchase"],
    )
    occurred_at: Moment = Field(
        description="When it happened, from 1970 on, with offset; kept in UTC.",
        examples=["2026-03-01T12:30:00+03:00"],
    )
    product_id: ProductId = Field(
        description="Compared without case and surrounding spaces.", examples=["85123A"]
    )
    category: Text = Field(
        default=UNKNOWN_CATEGORY, description="The product's group at that time.", examples=["kitchen"]
    )
    unit_price_cents: int = Field(
        strict=True,
        ge=1,
        le=MAX_PRICE_CENTS,
        description="Price of one unit in hundredths of the currency, as it was paid or shown.",
        examples=[12990],
    )
    currency: str = Field(
        pattern=CURRENCY_PATTERN, description="ISO 4217; one for the whole shop.", examples=["TRY"]
    )
    quantity: int = Field(
        strict=True, ge=1, le=MAX_QUANTITY, description="Units, also of a return.", examples=[2]
    )
    order_id: Text | None = Field(
        default=None,
        description="Ties the lines of an order together, and a return to its purchase.",
        examples=["o-1042"],
    )
    customer_id: Text | None = Field(
        default=None, description="Who; stored as a pseudonym only.", examples=["c-77"]
    )
    session_id: Text | None = Field(
        default=None, description="One visit; stored as a pseudonym only.", examples=["s-9f2"]
    )
    campaign: Text | None = Field(
        default=None, description="The campaign that it came from; none for none.", examples=["spring-mail"]
    )
    segment: Text | None = Field(
        default=None, description="Part of the market, such as a country.", examples=["TR"]
    )

    def content_hash(self) -> str:
        """Sha256 (hex) of everything but the id: equal for a re-send, different for other content."""
        return hashlib.sha256(content_json(self.__dict__)).hexdigest()


_CONTENT = sorted(Event.model_fields.keys() - {"event_id"})


def content_json(fields: Mapping[str, Any]) -> bytes:
    """An event's fields but the id as a JSON object, by name.

    Absent optional fields are left out, so a field that the contract gains later keeps old hashes valid.
    """
    return to_json({name: fields[name] for name in _CONTENT if fields[name] is not None})


def check_not_future(event: Event, now: datetime, tolerance: timedelta) -> None:
    """Nothing for an event up to `now + tolerance`.

    Raises:
        BadEvents: The event is later, so the sender's clock or date is wrong.
    """
    if event.occurred_at > now + tolerance:
        raise BadEvents(
            "future-dates",
            f"event {event.event_id!r} is dated {event.occurred_at.isoformat()}, after now"
            f" ({now.astimezone(UTC).isoformat(timespec='seconds')}); check the sender's clock and time zone",
        )
