"""What senders send and get back."""

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel

from apps.chassis.problems import MEDIA_TYPE
from apps.collector.formats import BEACON, CLOUD_EVENT, CLOUD_EVENTS, JSON, MAX_BATCH_EVENTS, NDJSON
from ml.events import Event


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


def _batch(item: dict[str, str]) -> dict[str, object]:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_BATCH_EVENTS}


_EVENT = {"$ref": "#/components/schemas/Event"}
_CLOUD_EVENT = {"$ref": "#/components/schemas/CloudEvent"}
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_EVENT_OR_BATCH = {"schema": {"anyOf": [_EVENT, _batch(_EVENT)]}}

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: _EVENT_OR_BATCH,
        NDJSON: {"schema": {"type": "string", "description": "One event as JSON a line, 1 to 1,000 lines."}},
        CLOUD_EVENT: {"schema": _CLOUD_EVENT},
        CLOUD_EVENTS: {"schema": _batch(_CLOUD_EVENT)},
        BEACON: _EVENT_OR_BATCH,
    },
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
    for status, text in {
        401: "No key, an unknown one, or one outside its time.",
        403: "A key of another environment, role or origin.",
        409: "The id of the single event belongs to one with other content.",
        413: "The body is too large.",
        415: "The Content-Type is none of these.",
        422: "The single event, or the body as a whole, breaks the contract.",
        429: "More requests than the key's rate; nothing was kept, send it again after Retry-After.",
        503: "Nothing of this request was kept; send it again after Retry-After.",
    }.items()
}
_SCHEMAS: Mapping[str, Any] = {
    "CloudEvent": {
        "type": "object",
        "description": "CloudEvents 1.0; `type` ends in a dot and an event type, `data` has the other fields of Event.",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": 200},
            "source": {"type": "string", "minLength": 1},
            "type": {"type": "string", "pattern": "(^|\\.)(view|cart|purchase|return)$"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": JSON},
            "data": {"type": "object"},
        },
    },
}


def describe_forms(app: FastAPI) -> None:
    """Add what the body's forms refer to, which the framework does not see, to the OpenAPI document."""
    inner = Event.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = {**inner.pop("$defs", {}), "Event": inner, **_SCHEMAS}
    document = app.openapi()
    document.setdefault("components", {}).setdefault("schemas", {}).update(parts)
