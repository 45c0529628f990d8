"""The collector keeps what it acknowledges and says why it keeps the rest out."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from apps.collector.main import create
from apps.collector.settings import CollectorSettings
from ml.event_store import Inbox
from tests.apps.client import Client, answering
from tests.apps.process import listener, running

KEY = "k" * 16
PSEUDONYM_KEY = "p" * 32
HEADERS = {"X-API-Key": KEY}


def event(event_id: str = "e1", **changes: object) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "event_type": "purchase",
        "occurred_at": "2026-03-01T12:00:00+03:00",
        "product_id": " a1 ",
        "category": "toys",
        "unit_price_cents": 1250,
        "currency": "TRY",
        "quantity": 2,
        **changes,
    }


def soon(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox" / "events.sqlite"


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    settings = CollectorSettings(inbox=path, api_key=SecretStr(KEY), pseudonym_key=SecretStr(PSEUDONYM_KEY))
    with answering(create(settings)) as client:
        yield client


def send(client: Client, body: object) -> httpx.Response:
    return client.post("/events", json=body, headers=HEADERS)


def stored(path: Path) -> list[str]:
    inbox = Inbox(path)
    try:
        return [kept.event.event_id for kept in inbox.after(0, 10_000)]
    finally:
        inbox.close()


def test_an_acknowledged_event_is_on_disk_for_another_reader(client: Client, path: Path) -> None:
    answer = send(client, event())
    assert answer.status_code == 202
    assert answer.json() == {"events": [{"event_id": "e1", "status": "accepted", "reason": None}]}
    inbox = Inbox(path)
    (kept,) = inbox.after(0, 10)
    inbox.close()
    assert (kept.event.product_id, kept.source) == ("A1", "collector")


def test_a_resend_is_a_duplicate_and_other_content_a_conflict(client: Client, path: Path) -> None:
    send(client, event())
    assert send(client, event()).json()["events"][0]["status"] == "duplicate"
    answer = send(client, event(quantity=3))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:purchase-prediction:id-conflict")
    assert "'e1'" in answer.json()["detail"]
    assert stored(path) == ["e1"]


def test_in_a_batch_the_good_events_go_in_and_each_bad_one_has_its_reason(client: Client, path: Path) -> None:
    send(client, event("known"))
    answer = send(
        client,
        [
            event("a"),
            event("b", quantity=0),
            event("known", quantity=9),
            event("a"),
            event("c", occurred_at=soon(5)),
            "not an event",
            event("d", product="typo"),
            event("known"),
            event("e"),
        ],
    )
    assert answer.status_code == 202
    events = answer.json()["events"]
    assert [(item["event_id"], item["status"]) for item in events] == [
        ("a", "accepted"),
        ("b", "refused"),
        ("known", "conflict"),
        ("a", "duplicate"),
        ("c", "refused"),
        (None, "refused"),
        ("d", "refused"),
        ("known", "duplicate"),
        ("e", "accepted"),
    ]
    reasons = [item["reason"] for item in events]
    assert reasons[1] == "quantity: Input should be greater than or equal to 1 (got 0)"
    assert "other content" in reasons[2]
    assert reasons[4].startswith("occurred_at: event 'c' is dated")
    assert reasons[6].startswith("product:")
    assert stored(path) == ["known", "a", "e"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("occurred_at", "2026-03-01T12:00:00"),
        ("occurred_at", "2999-01-01T00:00:00+00:00"),
        ("occurred_at", "yesterday"),
        ("quantity", 0),
        ("quantity", 10**12),
        ("quantity", 1.5),
        ("unit_price_cents", 0),
        ("currency", "lira"),
        ("product_id", "  "),
        ("event_id", "x" * 201),
        ("event_type", "refund"),
        ("surprise", 1),
    ],
)
def test_a_single_bad_event_is_refused_by_the_name_of_its_field(
    client: Client, path: Path, field: str, value: object
) -> None:
    answer = send(client, event() | {field: value})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not stored(path)


def test_a_clock_that_runs_a_little_ahead_is_believed(client: Client) -> None:
    moment = (datetime.now(UTC) + timedelta(minutes=50)).isoformat()
    assert send(client, event(occurred_at=moment)).status_code == 202


@pytest.mark.parametrize(("count", "status"), [(0, 422), (1, 202), (1000, 202), (1001, 422)])
def test_a_batch_has_one_to_a_thousand_events(client: Client, path: Path, count: int, status: int) -> None:
    answer = send(client, [event(f"e{number}") for number in range(count)])
    assert answer.status_code == status
    assert len(stored(path)) == (count if status == 202 else 0)


@pytest.mark.parametrize("body", [None, 7, "text", {}])
def test_what_is_neither_event_nor_array_is_refused(client: Client, body: object) -> None:
    headers = HEADERS | {"Content-Type": "application/json"}
    assert client.post("/events", content=json.dumps(body), headers=headers).status_code == 422


def test_without_the_key_nothing_goes_in(client: Client, path: Path) -> None:
    assert client.post("/events", json=event()).status_code == 401
    assert client.post("/events", json=event(), headers={"X-API-Key": KEY + "k"}).status_code == 401
    assert not stored(path)


def test_an_inbox_that_fails_is_503_with_a_time_to_retry_and_heals(client: Client, path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    answer = send(client, event())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    ready = client.get("/ready")
    assert ready.status_code == 503
    assert str(path) in ready.json()["checks"]["inbox"]["detail"]
    path.parent.unlink()
    assert send(client, event()).status_code == 202
    assert client.get("/ready").status_code == 200


def test_a_broken_file_is_503_and_a_restored_one_is_used(client: Client, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    assert send(client, event()).status_code == 503
    shutil.rmtree(path.parent)
    assert send(client, event()).status_code == 202


def test_senders_at_the_same_time_all_get_their_own_receipt(client: Client, path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: send(client, event(f"e{number % 20}")), range(40)))
    statuses = [answer.json()["events"][0]["status"] for answer in answers]
    assert statuses.count("accepted") == statuses.count("duplicate") == len(stored(path)) == 20


def test_metrics_count_events_by_what_became_of_them(client: Client) -> None:
    send(client, [event("a"), event("a"), event("b", quantity=0)])
    lines = client.get("/metrics").text.splitlines()
    assert 'collector_events_total{status="accepted"} 1.0' in lines
    assert 'collector_events_total{status="duplicate"} 1.0' in lines
    assert 'collector_events_total{status="refused"} 1.0' in lines


def test_openapi_says_that_one_event_or_an_array_goes_in(client: Client) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    one, many = body["anyOf"]
    assert one == many["items"] == {"$ref": "#/components/schemas/Event"}
    assert many["maxItems"] == 1000
    assert document["components"]["schemas"]["Event"]["properties"]["quantity"]["maximum"] == 1_000_000


def test_what_a_killed_process_acknowledged_is_there(path: Path) -> None:
    variables = {"COLLECTOR_INBOX": str(path), "COLLECTOR_API_KEY": KEY}
    with listener() as bound, running("apps.collector", variables, bound) as process:
        assert process.readiness["ready"]
        assert httpx.get(f"{process.url}/health").json() == {"status": "ok"}
        acknowledged = []
        with httpx.Client(base_url=process.url, headers=HEADERS) as client:
            for number in range(20):
                answer = client.post(
                    "/events",
                    content=json.dumps(event(f"e{number}")),
                    headers={"Content-Type": "application/json"},
                )
                acknowledged += [item["event_id"] for item in answer.json()["events"]]
        process.popen.kill()
        process.ended()
    assert stored(path) == acknowledged == [f"e{number}" for number in range(20)]


def test_without_a_key_of_its_own_the_process_does_not_start(tmp_path: Path) -> None:
    with (
        listener() as bound,
        running("apps.collector", {"COLLECTOR_INBOX": str(tmp_path / "i")}, bound) as process,
    ):
        code, _, errors = process.ended()
    assert (code, errors) == (1, "COLLECTOR_API_KEY is not set (callers send it as X-API-Key)\n")


def test_an_inbox_that_others_make_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    settings = CollectorSettings(inbox=path, create_inbox=False, api_key=SecretStr(KEY))
    with answering(create(settings)) as client:
        assert "run `python -m ml migrate`" in client.get("/ready").text
        assert send(client, event()).status_code == 503
        Inbox(path).close()
        assert client.get("/ready").status_code == 200
        assert send(client, event()).status_code == 202
    assert stored(path) == ["e1"]
