"""An event may come as JSON, as a line, or as a CloudEvent of the structured, batched or binary mode."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from apps.collector.formats import CLOUD_EVENT, CLOUD_EVENTS, JSON, MEDIA_TYPES, NDJSON
from apps.collector.main import create
from apps.collector.settings import CollectorSettings
from ml.event_store import Inbox
from ml.events import Event
from tests.apps.client import Client, answering
from tests.apps.collector.test_collector import HEADERS, KEY, PSEUDONYM_KEY, event

BY_ATTRIBUTE = ("event_id", "event_type", "occurred_at")


def data(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in event(**changes).items() if name not in BY_ATTRIBUTE}


def cloud_event(event_id: str = "e1", **changes: object) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/shop",
        "type": "example.shop.purchase",
        "time": event()["occurred_at"],
        "data": data(),
        **changes,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    settings = CollectorSettings(inbox=path, api_key=SecretStr(KEY), pseudonym_key=SecretStr(PSEUDONYM_KEY))
    with answering(create(settings)) as client:
        yield client


def post(client: Client, media_type: str, content: Any, **headers: str) -> httpx.Response:
    return client.post("/events", content=content, headers=HEADERS | headers | {"Content-Type": media_type})


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 202, answer.text
    return [item["status"] for item in answer.json()["events"]]


def stored(path: Path) -> list[Event]:
    inbox = Inbox(path)
    try:
        return [kept.event for kept in inbox.after(0, 10_000)]
    finally:
        inbox.close()


def headers_of(**changes: str) -> dict[str, str]:
    attributes = {name: value for name, value in cloud_event().items() if name != "data"}
    return {f"ce-{name}": value for name, value in (attributes | changes).items()}


def test_one_event_is_the_same_in_every_form(client: Client, path: Path) -> None:
    """The second and later ones are duplicates, so what was understood is equal field by field."""
    answers = [
        post(client, JSON, json.dumps(event())),
        post(client, f"{JSON}; charset=utf-8", json.dumps([event()])),
        post(client, "text/plain;charset=UTF-8", json.dumps([event()])),
        post(client, NDJSON, json.dumps(event())),
        post(client, f"{CLOUD_EVENT}; charset=UTF-8", json.dumps(cloud_event())),
        post(client, CLOUD_EVENTS, json.dumps([cloud_event()])),
        post(client, JSON, json.dumps(data()), **headers_of()),
        post(client, CLOUD_EVENT, json.dumps(cloud_event(data=event(), traceparent="00-1", subject="x"))),
    ]
    assert [statuses(answer) for answer in answers] == [["accepted"], *[["duplicate"]] * 7]
    assert len(stored(path)) == 1


def test_each_line_has_its_own_status(client: Client, path: Path) -> None:
    lines = [
        json.dumps(event("a")),
        "",
        "{",
        json.dumps(event("b", quantity=0)),
        '"text"',
        "  ",
        json.dumps(event("c")) + "\r",
    ]
    answer = post(client, NDJSON, "\n".join(lines))
    assert statuses(answer) == ["accepted", "refused", "refused", "refused", "accepted"]
    reasons = [item["reason"] for item in answer.json()["events"]]
    assert reasons[1].startswith("line 3: is not JSON")
    assert reasons[2].startswith("quantity:")
    assert [kept.event_id for kept in stored(path)] == ["a", "c"]


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_lines_may_come_in_any_pieces(client: Client, path: Path, size: int) -> None:
    content = "\n".join(json.dumps(event(f"é{number}")) for number in range(20)).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    assert statuses(post(client, NDJSON, pieces())) == ["accepted"] * 20
    assert len(stored(path)) == 20


@pytest.mark.parametrize(("count", "status"), [(0, 422), (1, 202), (1000, 202), (1001, 422)])
@pytest.mark.parametrize("form", [NDJSON, CLOUD_EVENTS])
def test_a_batch_of_any_form_has_one_to_a_thousand_events(
    client: Client, path: Path, form: str, count: int, status: int
) -> None:
    ids = [f"e{number}" for number in range(count)]
    lines, array = [event(each) for each in ids], [cloud_event(each) for each in ids]
    content = "\n".join(map(json.dumps, lines)) if form == NDJSON else json.dumps(array)
    assert post(client, form, content).status_code == status
    assert len(stored(path)) == (count if status == 202 else 0)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"source": ""}, "source"),
        ({"source": None}, "source"),
        ({"type": 7}, "type"),
        ({"id": ""}, "id"),
        ({"type": "example.shop.refund"}, "event_type"),
        ({"time": "yesterday"}, "occurred_at"),
        ({"data": None}, "data"),
        ({"data": "text"}, "data"),
        ({"data_base64": "e30="}, "data_base64"),
        ({"datacontenttype": "application/xml"}, "datacontenttype"),
        ({"data": data() | {"event_id": "e2"}}, "event_id"),
        ({"data": data() | {"event_type": "view"}}, "event_type"),
        ({"data": data() | {"occurred_at": "2026-03-01T12:00:01+03:00"}}, "occurred_at"),
        ({"data": data() | {"quantity": 0}}, "quantity"),
    ],
)
def test_a_cloud_event_that_is_none_of_ours_is_refused_by_its_field(
    client: Client, path: Path, changes: dict[str, Any], field: str
) -> None:
    sent = cloud_event(**changes)
    answer = post(client, CLOUD_EVENT, json.dumps(sent))
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
    batch = post(client, CLOUD_EVENTS, json.dumps([cloud_event("good"), sent]))
    assert statuses(batch) == ["accepted", "refused"]
    assert [kept.event_id for kept in stored(path)] == ["good"]


def test_a_cloud_event_without_a_time_has_it_in_its_data(client: Client) -> None:
    timeless = {name: value for name, value in cloud_event().items() if name != "time"}
    assert post(client, CLOUD_EVENT, json.dumps(timeless)).status_code == 422
    said = timeless | {"data": data() | {"occurred_at": event()["occurred_at"]}, "type": "purchase"}
    assert statuses(post(client, CLOUD_EVENT, json.dumps(said))) == ["accepted"]


def test_the_headers_of_the_binary_mode_are_percent_encoded(client: Client, path: Path) -> None:
    answer = post(client, JSON, json.dumps(data()), **headers_of(id="sipari%C5%9F-1%20a"))
    assert statuses(answer) == ["accepted"]
    assert [kept.event_id for kept in stored(path)] == ["sipariş-1 a"]
    conflict = post(client, JSON, json.dumps(data(quantity=3)), **headers_of(id="sipari%C5%9F-1%20a"))
    assert conflict.status_code == 409
    assert post(client, "application/xml", "<a/>", **headers_of()).status_code == 415


@pytest.mark.parametrize("form", ["", "application/xml", "application/cloudevents+avro", "application/jsonp"])
def test_a_form_that_is_not_known_is_415_and_names_those_that_are(client: Client, form: str) -> None:
    answer = post(client, form, json.dumps(event()))
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
    assert all(known in answer.json()["detail"] for known in MEDIA_TYPES)
    assert answer.headers["accept"] == ", ".join(MEDIA_TYPES)


@pytest.mark.parametrize("form", [JSON, CLOUD_EVENT, CLOUD_EVENTS])
@pytest.mark.parametrize(
    "content", [b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'"\\ud800"', b"", b"1" * 5_000]
)
def test_a_body_that_is_not_json_is_refused_in_every_form(client: Client, form: str, content: bytes) -> None:
    assert post(client, form, content).status_code == 422


def test_openapi_shows_every_form_and_every_answer(client: Client) -> None:
    document = client.get("/openapi.json").json()
    posted = document["paths"]["/events"]["post"]
    assert set(posted["requestBody"]["content"]) == set(MEDIA_TYPES)
    assert set(posted["responses"]) == {"202", "400", "401", "403", "409", "413", "415", "422", "429", "503"}
    assert posted["security"] == [{"api_key": []}, {"browser_key": []}]
    text = json.dumps(document)
    for name in {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
    pattern = document["components"]["schemas"]["CloudEvent"]["properties"]["type"]["pattern"]
    assert pattern == r"(^|\.)(view|cart|purchase|return)$"
