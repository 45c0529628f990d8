"""Any sequence of requests, near right and far off: documented answers only, and an inbox as a plain model says.

The ordinary runs are bounded; `make soak` runs the same seeds further (`FUZZ_SEED` replays one of them).
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.requests import Request as HttpRequest

from apps.chassis.problems import MEDIA_TYPE, Problem
from apps.collector.formats import Refused, from_cloud_event, read
from apps.collector.inbox_writer import InboxWriter
from apps.collector.intake import Judge
from apps.collector.main import create
from apps.collector.settings import CollectorSettings
from ml.event_store import Inbox, Receipt, Row
from ml.events import Event
from tests.apps.client import Client, answering
from tests.apps.collector.mangled import (
    FORMS,
    SINGLE,
    Request,
    cloud_event,
    good_event,
    mangled_bytes,
    mangled_value,
)

KEY = "k" * 16
SEED = int(os.environ.get("FUZZ_SEED", "20260301"))
REQUESTS, SOAK_REQUESTS = 400, 50_000
INPUTS, SOAK_INPUTS = 4_000, 1_000_000
JUDGE = Judge(datetime(2026, 6, 1, tzinfo=UTC), timedelta(hours=1), b"p" * 32, "shop")
KINDS = ("accepted", "duplicate", "conflict", "refused")


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - to be replayed


class Model:
    """What a collector has to answer to good events, in twelve lines: the first content of an id counts."""

    def __init__(self) -> None:
        self.content: dict[str, dict[str, Any]] = {}

    def status(self, event: dict[str, Any]) -> str:
        content = {**event, "category": event.get("category", "unknown")}
        before = self.content.setdefault(event["event_id"], content)
        if before is content:
            return "accepted"
        return "duplicate" if before == content else "conflict"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    settings = CollectorSettings(
        inbox=path, api_key=SecretStr(KEY), pseudonym_key=SecretStr("p" * 32), max_body_bytes=65_536
    )
    with answering(create(settings)) as client:
        yield client


def request(random: Random, events: list[dict[str, Any]]) -> Request:
    form = random.choice(FORMS if len(events) == 1 else [form for form in FORMS if form not in SINGLE])
    return form(events)


def spoiled(random: Random) -> Request:
    """A request of which nothing can be foretold but that its answer is a documented one."""
    sent = request(random, [good_event(random, 40) for _ in range(random.randrange(1, 4))])
    headers = dict(sent.headers)
    if headers and random.random() < 0.5:
        headers[random.choice(list(headers))] = random.choice(["", "1.0", "%ff", "a" * 300, "purchase"])
    media_type = (
        sent.media_type if random.random() < 0.9 else random.choice(["", "a/b", "text/csv", "application/"])
    )
    match random.randrange(4):
        case 0:
            content = mangled_bytes(random, sent.content)
        case 1:
            content = random.randbytes(random.randrange(60))
        case 2:
            content = b"\n".join([sent.content] * random.choice([2] * 40 + [1_001]))
        case _:
            content = json.dumps(mangled_value(random, json.loads(sent.content.partition(b"\n")[0]))).encode()
    return Request(media_type, content, headers)


def send(client: Client, sent: Request, key: str = KEY) -> tuple[int, Any]:
    headers = {**sent.headers, "X-API-Key": key, "Content-Type": sent.media_type}
    answer = client.post("/events", content=sent.content, headers=headers)
    said = answer.json()
    if answer.status_code != 202:
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert said["status"] == answer.status_code
        assert said["detail"]
    else:
        assert {each["status"] for each in said["events"]} <= set(KINDS)
        assert all(bool(each["reason"]) == (each["status"] in KINDS[2:]) for each in said["events"])
    return answer.status_code, said


def campaign(client: Client, path: Path, seed: int, requests: int) -> Counter[str]:
    """Good requests are answered as the model says, others as OpenAPI lists; then the inbox is the model's."""
    documented = {
        int(status) for status in client.get("/openapi.json").json()["paths"]["/events"]["post"]["responses"]
    }
    assert 500 not in documented
    random, model, others, seen = seeded(seed), Model(), set[str](), Counter[str]()
    inbox = Inbox(path)
    for number in range(requests):
        if random.random() < 0.5:
            events = [good_event(random, 40_000, "good") for _ in range(random.choice([1, 1, 5]))]
            if model.content and random.random() < 0.5:
                events[0] = dict(random.choice(list(model.content.values())))
            expected = [model.status(event) for event in events]
            sent = request(random, events)
            status, said = send(client, sent)
            answered = ["conflict"] if status == 409 else [each["status"] for each in said.get("events", [])]
            assert answered == expected, (seed, number, sent, said)
            seen.update(answered)
        else:
            before = inbox.last_seq()
            status, said = send(client, spoiled(random), random.choice([KEY, KEY, KEY, "", "x"]))
            assert status in documented - {503}, (seed, number, said)
            kept = {item.event.event_id for item in inbox.after(before, 2_000)}
            assert status == 202 or not kept, (seed, number, said)
            others |= kept
            seen[str(status)] += 1
    assert {item.event.event_id for item in inbox.after(0, 10**9)} == set(model.content) | others
    inbox.close()
    return seen


def test_a_sequence_of_requests_is_answered_as_the_model_says(client: Client, path: Path) -> None:
    seen = campaign(client, path, SEED, REQUESTS)
    assert set(seen) >= {"accepted", "duplicate", "conflict", "401", "422", "202", "415"}, seen


@pytest.mark.soak
def test_a_long_sequence_of_requests_is_answered_as_the_model_says(client: Client, path: Path) -> None:
    started = time.monotonic()
    seen = campaign(client, path, SEED, SOAK_REQUESTS)
    print(f"{SOAK_REQUESTS} requests in {time.monotonic() - started:.0f} s, seed {SEED}: {dict(seen)}")  # noqa: T201


async def judged(sent: Request) -> list[Row | Refused]:
    async def pieces() -> AsyncIterator[Mapping[str, Any]]:
        half = len(sent.content) // 2
        yield {"type": "http.request", "body": sent.content[:half], "more_body": True}
        yield {"type": "http.request", "body": sent.content[half:], "more_body": False}

    messages = pieces()
    headers = [(name.encode(), value.encode()) for name, value in sent.headers.items()]
    headers.append((b"content-type", sent.media_type.encode()))
    scope = {"type": "http", "method": "POST", "headers": headers}
    found = await read(HttpRequest(scope, lambda: anext(messages)))  # type: ignore[arg-type]
    return [JUDGE(element) for element in found.elements]


def parse(random: Random, inputs: int) -> Counter[str]:
    """How many generated inputs to the parsers ended how; a third each as requests, events and CloudEvents."""
    seen = Counter[str]()
    loop = asyncio.new_event_loop()
    for number in range(inputs):
        match number % 3:
            case 0:
                try:
                    results = loop.run_until_complete(judged(spoiled(random)))
                except Problem as problem:
                    seen[f"{problem.status_code} {problem.name}"] += len(problem.response().body) > 0
                    continue
            case 1:
                sent = good_event(random)
                results = [JUDGE(mangled_value(random, sent) if random.random() < 0.7 else sent)]
            case _:
                found = cloud_event(good_event(random))
                results = [
                    JUDGE(from_cloud_event(mangled_value(random, found) if random.random() < 0.7 else found))
                ]
        for result in results:
            if isinstance(result, Row):
                event = Event.model_validate_json(result.body)
                assert json.loads(result.body) == event.model_dump(mode="json", exclude_none=True)
                assert result == Row(event.event_id, event.content_hash(), result.body, "shop")
            else:
                assert result.problem.response().body
            seen[type(result).__name__] += 1
    loop.close()
    assert set(seen) == {"Row", "Refused", "415 unknown-form", "422 invalid-request"}, seen
    return seen


def test_any_input_to_the_parsers_is_an_event_or_a_refusal() -> None:
    seen = parse(seeded(SEED), INPUTS)
    assert min(seen.values()) > INPUTS / 200, seen


@pytest.mark.soak
def test_a_million_inputs_to_the_parsers_are_events_or_refusals() -> None:
    started = time.monotonic()
    seen = parse(seeded(SEED), SOAK_INPUTS)
    print(f"{SOAK_INPUTS} inputs in {time.monotonic() - started:.0f} s, seed {SEED}: {dict(seen)}")  # noqa: T201


@pytest.mark.parametrize("fault", ["a wrong status", "a lost event", "an exception"])
def test_the_campaign_finds_a_fault(
    client: Client, path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the tests above."""
    append = InboxWriter.append

    async def wrong(self: InboxWriter, rows: Sequence[Row], deadline: float | None = None) -> list[Receipt]:
        if fault == "a lost event":
            await append(self, rows[1:], deadline)
            return [Receipt(row.event_id, "accepted") for row in rows]
        found = await append(self, rows, deadline)
        return [
            Receipt(each.event_id, "duplicate" if each.status == "conflict" else each.status)
            for each in found
        ]

    if fault == "an exception":
        monkeypatch.setattr("apps.collector.formats.shown", lambda _: 1 / 0)
    else:
        monkeypatch.setattr(InboxWriter, "append", wrong)
    with pytest.raises((AssertionError, ZeroDivisionError)):
        campaign(client, path, SEED, REQUESTS)
