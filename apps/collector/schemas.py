"""What senders send and get back."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, WithJsonSchema, WrapValidator

from ml.events import Event

MAX_BATCH_EVENTS = 1000

# The events of a batch are checked one by one in `intake`, so that a bad one does not refuse the others.
Batch = Annotated[
    list[Annotated[Any, WithJsonSchema({"$ref": "#/components/schemas/Event"})]],
    Field(min_length=1, max_length=MAX_BATCH_EVENTS),
]
_batch = TypeAdapter[list[Any]](Batch)


def _event_or_batch(value: object, _: object) -> Event | list[Any]:
    """Errors of one event name its field alone, as they would not if both forms were tried."""
    return _batch.validate_python(value) if isinstance(value, list) else Event.model_validate(value)


Sent = Annotated[Event | Batch, WrapValidator(_event_or_batch)]


class EventStatus(BaseModel):
    """What became of one sent event, in the order they were sent.

    `accepted` and `duplicate` are on disk; `conflict` has the id of an event with other content; `refused`
    breaks the contract. The last two come with the reason and are not kept.
    """

    event_id: str | None
    status: Literal["accepted", "duplicate", "conflict", "refused"]
    reason: str | None = None


class Acknowledgement(BaseModel):
    """The answer to a request whose events were committed."""

    events: list[EventStatus]
