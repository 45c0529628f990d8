"""The event contract: what a shop sends, checked field by field.

Only pydantic is imported here, so that the collector's image stays small.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import to_json

from ml.errors import BadEvents

TEXT_LENGTH = 200
MAX_QUANTITY = 1_000_000
MAX_PRICE_CENTS = 10**11
OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN_CATEGORY = "unknown"
CURRENCY_PATTERN = r"^[A-Z]{3}$"
TEXT_PATTERN = r"^[^\p{Cc}]*$"


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

    event_id: Text = Field(description="The client's own id; the same id is accepted once.")
    event_type: EventType
    occurred_at: Moment = Field(description="When it happened, with offset.")
    product_id: ProductId = Field(description="Compared without case and surrounding spaces.")
    category: Text = UNKNOWN_CATEGORY
    unit_price_cents: int = Field(strict=True, ge=1, le=MAX_PRICE_CENTS)
    currency: str = Field(pattern=CURRENCY_PATTERN, description="ISO 4217, for example TRY.")
    quantity: int = Field(strict=True, ge=1, le=MAX_QUANTITY, description="Units, also of a return.")
    order_id: Text | None = None
    customer_id: Text | None = None
    session_id: Text | None = None
    campaign: Text | None = None
    segment: Text | None = None

    def content_hash(self) -> str:
        """Sha256 (hex) of everything but the id: equal for a re-send, different for other content.

        Absent optional fields are left out, so a field that the contract gains later keeps old hashes valid.
        """
        fields = self.__dict__
        content = {name: fields[name] for name in _CONTENT if fields[name] is not None}
        return hashlib.sha256(to_json(content)).hexdigest()


_CONTENT = sorted(Event.model_fields.keys() - {"event_id"})


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
