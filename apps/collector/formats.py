"""The forms in which events may come: JSON, NDJSON and CloudEvents 1.0, each read into plain values to be judged.

Bytes go in and plain values come out; nothing here knows the fields of an event but the three that CloudEvents names.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json
from starlette.requests import Request

from apps.chassis.problems import Problem, refused_field, shown

MAX_BATCH_EVENTS = 1000
JSON = "application/json"
BEACON = "text/plain"
NDJSON = "application/x-ndjson"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
MEDIA_TYPES = (JSON, NDJSON, CLOUD_EVENT, CLOUD_EVENTS, BEACON)

ATTRIBUTES: Mapping[str, str] = {"id": "event_id", "time": "occurred_at", "type": "event_type"}
"""CloudEvents attributes that are fields of an event; of `type` the part after its last dot."""

_NEEDED = ("specversion", "id", "source", "type")
_HEADER = "ce-"


@dataclass(frozen=True)
class Refused:
    """A sent value that is not an event, with the answer it would get alone."""

    event_id: str | None
    problem: Problem


@dataclass(frozen=True)
class Sent:
    """What one request brought, in its order; an event that came alone is answered with a status of its own."""

    elements: Sequence[Any]
    alone: bool = False


async def read(request: Request) -> Sent:
    """The events of a request.

    Raises:
        Problem: 415 for a form that is not known, 422 for a body that is not in its form or has not 1 to 1,000 events.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == NDJSON:
        return _counted([line async for line in _lines(request.stream())])
    if media_type == CLOUD_EVENT:
        return Sent([from_cloud_event(parsed(await request.body()))], alone=True)
    if media_type == CLOUD_EVENTS:
        return _counted([from_cloud_event(item) for item in _array(parsed(await request.body()))])
    if f"{_HEADER}specversion" in request.headers:
        return Sent([from_headers(request.headers, await request.body())], alone=True)
    if media_type not in {JSON, BEACON}:
        raise unknown_form(media_type)
    value = parsed(await request.body())
    return _counted(value) if isinstance(value, list) else Sent([value], alone=True)


def parsed(body: bytes) -> Any:
    """The JSON value in a body.

    Raises:
        Problem: 422, with the place and nothing of what was sent.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise refused_field("body", f"is not JSON: {error}") from None


def from_line(line: bytes, number: int) -> Any:
    """The value in one line of NDJSON, or why there is none."""
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError as error:
        return Refused(None, refused_field(f"line {number}", f"is not JSON: {error}"))


def from_cloud_event(value: Any) -> Any:
    """The fields of an event in a CloudEvent of the JSON format, or why there are none.

    `data` holds the fields that no attribute has. What both say has to be the same. Other attributes and extensions
    are left out.
    """
    if not isinstance(value, dict):
        return Refused(None, refused_field("body", "a CloudEvent is a JSON object"))
    event_id = value.get("id") if isinstance(value.get("id"), str) else None
    if "data_base64" in value:
        return Refused(
            event_id, refused_field("data_base64", "is not read; send the fields in data, as JSON")
        )
    if value.get("datacontenttype", JSON) != JSON:
        return Refused(event_id, refused_field("datacontenttype", f"has to be {JSON}"))
    return _mapped(value, event_id)


def from_headers(headers: Mapping[str, str], body: bytes) -> Any:
    """As `from_cloud_event`, with the attributes in `ce-` headers (percent-encoded UTF-8) and `data` as the body."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise unknown_form(headers.get("content-type", ""))
    attributes = {
        name.removeprefix(_HEADER): unquote(value)
        for name, value in headers.items()
        if name.startswith(_HEADER)
    }
    return _mapped({**attributes, "data": parsed(body)}, attributes.get("id"))


def _mapped(value: Mapping[str, Any], event_id: str | None) -> Any:
    for name in _NEEDED:
        if not isinstance(value.get(name), str) or not value[name]:
            return Refused(event_id, refused_field(name, "every CloudEvent has this attribute, a text"))
    if value["specversion"] != "1.0":
        return Refused(
            event_id, refused_field("specversion", f"has to be 1.0, not {shown(value['specversion'])}")
        )
    data = value.get("data")
    if not isinstance(data, dict):
        return Refused(
            event_id, refused_field("data", "has to be an object with the other fields of the event")
        )
    said = {field: value[name] for name, field in ATTRIBUTES.items() if name in value}
    said["event_type"] = said["event_type"].rpartition(".")[2]
    for field, text in said.items():
        if field in data and data[field] != text:
            return Refused(event_id, refused_field(field, "the attribute and data say different things"))
    return {**data, **said}


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    """Values of the lines that are not empty, each as soon as it is whole; stops reading after too many."""
    rest, number, count = b"", 0, 0
    async for chunk in _closed(chunks):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if line.strip():
                count += 1
                if count > MAX_BATCH_EVENTS:
                    raise _wrong_count("more than 1,000")
                yield from_line(line, number)


async def _closed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, and the end of a last line that has none."""
    async for chunk in chunks:
        yield chunk
    yield b"\n"


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise refused_field("body", "has to be an array of CloudEvents")
    return value


def _counted(elements: list[Any]) -> Sent:
    if not 1 <= len(elements) <= MAX_BATCH_EVENTS:
        raise _wrong_count(f"{len(elements):,}")
    return Sent(elements)


def _wrong_count(count: str) -> Problem:
    return refused_field("body", f"a batch has 1 to {MAX_BATCH_EVENTS:,} events, this has {count}")


def unknown_form(media_type: str) -> Problem:
    """The 415 answer that names the forms there are."""
    known = ", ".join(MEDIA_TYPES)
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unknown-form",
        f"the Content-Type {shown(media_type)} is not read here; send {known}, or {JSON} with ce- headers",
        headers={"Accept": known},
    )
