"""Requests that are nearly right: good ones of every form, with values, structure or bytes changed at random."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from apps.collector.formats import BEACON, CLOUD_EVENT, CLOUD_EVENTS, JSON, NDJSON
from ml.events import Event

BY_ATTRIBUTE = {"event_id": "id", "occurred_at": "time", "event_type": "type"}
ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        1e308,
        2**63,
        10**400,
        "",
        " ",
        "x" * 201,
        "\x00",
        "\u2028",
        "İı",
        "\U0001d4b3",
        "e\u0301",
    ),
    *(
        [],
        {},
        [[]],
        {"a": {}},
        "1.0",
        "2026-02-30T00:00:00Z",
        "2026-03-01T00:00:00",
        "9999-12-31T23:59:59-23:59",
    ),
    *("0001-01-01T00:00:00+23:59", "purchase", "a.b.view", ".", "TRY", "try", 1_700_000_000, "NaN", "p1-0-0"),
]


@dataclass(frozen=True)
class Request:
    """What is sent: its media type, further headers and body."""

    media_type: str
    content: bytes
    headers: dict[str, str]


def good_event(random: Random, ids: int = 10**9, prefix: str = "e") -> dict[str, Any]:
    """An event that is accepted; optional fields come and go."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(10**7))
    event: dict[str, Any] = {
        "event_id": f"{prefix}-{random.randrange(ids)}",
        "event_type": random.choice(["view", "cart", "purchase", "return"]),
        "occurred_at": moment.isoformat(),
        "product_id": f"P{random.randrange(50)}",
        "unit_price_cents": random.randrange(1, 10**6),
        "currency": random.choice(["TRY", "EUR"]),
        "quantity": random.randrange(1, 9),
    }
    for name in ("category", "order_id", "customer_id", "session_id", "campaign", "segment"):
        if random.random() < 0.4:
            event[name] = f"{name} {random.randrange(9)}"
    return event


def cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    """The CloudEvent that means this event."""
    attributes = {BY_ATTRIBUTE[name]: value for name, value in event.items() if name in BY_ATTRIBUTE}
    data = {name: value for name, value in event.items() if name not in BY_ATTRIBUTE}
    return {"specversion": "1.0", "source": "/shop", **attributes, "data": data}


def _json(events: list[dict[str, Any]]) -> Request:
    return Request(JSON, _bytes(events if len(events) != 1 else events[0]), {})


def _beacon(events: list[dict[str, Any]]) -> Request:
    return Request(f"{BEACON};charset=UTF-8", _bytes(events), {})


def _ndjson(events: list[dict[str, Any]]) -> Request:
    return Request(NDJSON, b"\n".join(map(_bytes, events)), {})


def _structured(events: list[dict[str, Any]]) -> Request:
    return Request(CLOUD_EVENT, _bytes(cloud_event(events[0])), {})


def _batched(events: list[dict[str, Any]]) -> Request:
    return Request(CLOUD_EVENTS, _bytes([cloud_event(event) for event in events]), {})


def _binary(events: list[dict[str, Any]]) -> Request:
    found = cloud_event(events[0])
    data = found.pop("data")
    return Request(JSON, _bytes(data), {f"ce-{name}": str(value) for name, value in found.items()})


FORMS: list[Callable[[list[dict[str, Any]]], Request]] = [
    _json,
    _beacon,
    _ndjson,
    _structured,
    _batched,
    _binary,
]
SINGLE = {_structured, _binary}


def _bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


def mangled_value(random: Random, value: Any) -> Any:
    """The value with one place changed, deep or not."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        name = random.choice(list(value))
        changed = dict(value)
        match random.randrange(5):
            case 0:
                del changed[name]
            case 1:
                changed[random.choice([*Event.model_fields, "x", "", "data_base64"])] = random.choice(ODD)
            case 2:
                changed[name] = mangled_value(random, changed[name])
            case _:
                changed[name] = random.choice(ODD)
        return changed
    if isinstance(value, list) and value and random.random() < 0.85:
        place = random.randrange(len(value))
        return [*value[:place], mangled_value(random, value[place]), *value[place + 1 :]]
    return random.choice(ODD)


def mangled_bytes(random: Random, content: bytes) -> bytes:
    """The bytes with a few flipped, cut out, doubled or put in."""
    changed = bytearray(content)
    for _ in range(random.randrange(1, 4)):
        place = random.randrange(len(changed) + 1)
        match random.randrange(4):
            case 0:
                changed[place : place + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[place : place + random.randrange(1, 9)]
            case 2:
                changed[place:place] = changed[max(0, place - 9) : place]
            case _:
                changed[place:place] = random.choice(
                    [b"\n", b"{", b"]", b'"', b"\\ud800", b"\x00", b"\xff", b"1e999"]
                )
    return bytes(changed)
