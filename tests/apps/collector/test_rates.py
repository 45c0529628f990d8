"""Each source sends at its own rate; what is over it is said so, kept by nobody, and loses nothing when sent again."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from apps.chassis.keys import Role
from apps.collector.main import create
from apps.collector.settings import CollectorSettings
from ml.event_store import Inbox
from scripts.replay_events import send
from tests.apps.client import Client, answering
from tests.apps.collector.test_collector import PSEUDONYM_KEY, event
from tests.apps.collector.test_sources import stored_key
from tests.apps.process import listener, running

RATE, BURST_SECONDS = 0.25, 8.0
BURST = 2
"""Of a source: its rate times the seconds."""


def key_file(folder: Path) -> Path:
    file = folder / "keys.jsonl"
    own_rate = stored_key("fast-key", "nightly", Role.sender).replace(
        '"requests_per_second":null', '"requests_per_second":1000'
    )
    assert "1000" in own_rate
    file.write_text(
        "\n".join([stored_key("app-key", "app", Role.sender), stored_key("b", "b", Role.sender), own_rate])
    )
    return file


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def client(tmp_path: Path, inbox: Path) -> Iterator[Client]:
    settings = CollectorSettings(
        inbox=inbox,
        keys_file=key_file(tmp_path),
        pseudonym_key=SecretStr(PSEUDONYM_KEY),
        rate_per_second=RATE,
        rate_burst_seconds=BURST_SECONDS,
    )
    with answering(create(settings)) as client:
        yield client


def sent(client: Client, event_id: str, key: str = "app-key") -> httpx.Response:
    return client.post("/events", json=event(event_id), headers={"X-API-Key": key})


def kept(inbox: Path) -> set[str]:
    store = Inbox(inbox)
    try:
        return {item.event.event_id for item in store.after(0, 1000)}
    finally:
        store.close()


def test_a_source_over_its_rate_is_told_when_to_come_back(client: Client, inbox: Path) -> None:
    assert [sent(client, str(number)).status_code for number in range(BURST + 1)] == [202, 202, 429]
    refused = sent(client, "over")
    assert refused.json()["type"] == "urn:purchase-prediction:too-many-requests"
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 1 / RATE
    assert refused.headers["ratelimit"].startswith('"caller";r=0;t=')
    assert kept(inbox) == {"0", "1"}
    counted = client.get("/metrics").text
    (line,) = [each for each in counted.splitlines() if each.startswith("rate_limited_total{")]
    assert line.startswith('rate_limited_total{caller="app:')
    assert line.endswith(" 2.0")


def test_others_are_not_held_up_and_a_key_may_have_its_own_rate(client: Client) -> None:
    while sent(client, "a").status_code == 202:
        pass
    assert sent(client, "b", "b").status_code == 202
    assert {sent(client, f"c{number}", "fast-key").status_code for number in range(50)} == {202}


def test_who_is_over_the_rate_is_refused_before_the_body_is_read(client: Client) -> None:
    while sent(client, "a").status_code == 202:
        pass
    refused = client.post("/events", content=b"not JSON", headers={"X-API-Key": "app-key"})
    assert refused.status_code == 429


def test_who_is_refused_uses_up_no_rate(client: Client) -> None:
    """A stranger does not reach the buckets."""
    assert {sent(client, "a", "unknown").status_code for _ in range(2 * BURST)} == {401}
    assert sent(client, "a").status_code == 202


def test_the_one_key_of_a_laptop_has_no_rate(inbox: Path) -> None:
    settings = CollectorSettings(
        inbox=inbox, api_key=SecretStr("a-key-of-enough-letters"), rate_per_second=RATE
    )
    with answering(create(settings)) as client:
        answers = {sent(client, str(number), "a-key-of-enough-letters").status_code for number in range(20)}
    assert answers == {202}


def test_the_document_names_the_refusal(client: Client) -> None:
    answers = client.get("/openapi.json").json()["paths"]["/events"]["post"]["responses"]
    assert "application/problem+json" in answers["429"]["content"]


def test_a_replay_over_the_rate_waits_and_loses_nothing(tmp_path: Path, inbox: Path) -> None:
    """More batches than the collector lets through at once, and more refusals than a replay tries elsewhere."""
    variables = {
        "COLLECTOR_INBOX": str(inbox),
        "COLLECTOR_KEYS_FILE": str(key_file(tmp_path)),
        "COLLECTOR_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "COLLECTOR_RATE_PER_SECOND": "2",
        "COLLECTOR_RATE_BURST_SECONDS": "0.5",
    }
    events = [event(str(number)) for number in range(6)]
    with listener() as bound, running("apps.collector", variables, bound) as process:
        began = time.monotonic()
        with httpx.Client(headers={"X-API-Key": "app-key"}, timeout=20) as http:
            assert send(events, http, process.url, batch=2) == {"accepted": 6}
            over = httpx.get(f"{process.url}/metrics").text
        assert time.monotonic() - began >= 1
    assert kept(inbox) == {str(number) for number in range(6)}
    assert "rate_limited_total{" in over
