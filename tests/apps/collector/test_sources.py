"""Who sends is known by the key, pages send from their own origins, and no store learns who bought."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from apps.chassis.keys import Role, StoredKey, digest
from apps.collector import new_key
from apps.collector.main import create
from apps.collector.settings import CollectorSettings
from ml.event_store import Inbox
from ml.pseudonym import pseudonym
from tests.apps.client import Client, answering
from tests.apps.collector.test_collector import PSEUDONYM_KEY, event
from tests.apps.process import listener, running

SHOP = "https://shop.example"
PERSON = {"customer_id": "ali@shop.example", "session_id": "session-of-ali"}


def stored_key(key: str, source: str, role: Role, *origins: str, environment: str = "local") -> str:
    return StoredKey(
        sha256=digest(key),
        source=source,
        environment=environment,
        roles=frozenset({role}),
        origins=frozenset(origins),
    ).model_dump_json()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def client(tmp_path: Path, inbox: Path) -> Iterator[Client]:
    keys = tmp_path / "keys.jsonl"
    lines = [
        stored_key("app-key", "app", Role.sender),
        stored_key("page-key", "web", Role.browser, SHOP),
        stored_key("viewer-key", "planner", Role.viewer),
        stored_key("production-key", "app", Role.sender, environment="production"),
    ]
    keys.write_text("\n".join(lines))
    settings = CollectorSettings(inbox=inbox, keys_file=keys, pseudonym_key=SecretStr(PSEUDONYM_KEY))
    with answering(create(settings)) as client:
        yield client


def send(client: Client, key: str, body: Any = None, **headers: str) -> httpx.Response:
    return client.post("/events", json=body or event(), headers={"X-API-Key": key, **headers})


def kept(inbox: Path) -> list[tuple[str, str]]:
    store = Inbox(inbox)
    try:
        return [(item.event.event_id, item.source) for item in store.after(0, 100)]
    finally:
        store.close()


def test_an_event_is_stored_with_the_source_of_its_key(client: Client, inbox: Path) -> None:
    assert send(client, "app-key", event("a")).status_code == 202
    assert send(client, "page-key", event("b"), Origin=SHOP).status_code == 202
    assert kept(inbox) == [("a", "app"), ("b", "web")]


@pytest.mark.parametrize(
    ("key", "status", "name"),
    [
        ("nobody", 401, "api-key-refused"),
        ("production-key", 403, "key-of-another-environment"),
        ("viewer-key", 403, "role-refused"),
        ("page-key", 403, "origin-refused"),
    ],
)
def test_other_keys_are_refused_before_the_body_is_read(
    client: Client, inbox: Path, key: str, status: int, name: str
) -> None:
    answer = send(client, key, {"no": "event"})
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:purchase-prediction:{name}")
    assert not inbox.exists()


def test_a_beacon_has_its_key_in_the_address_and_a_secret_key_must_not(client: Client) -> None:
    body, headers = json.dumps([event()]), {"Content-Type": "text/plain;charset=UTF-8", "Origin": SHOP}
    assert client.post("/events?key=page-key", content=body, headers=headers).status_code == 202
    for header in ({}, {"X-API-Key": ""}):
        answer = client.post("/events?key=app-key", content=body, headers=headers | header)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:purchase-prediction:key-in-address")


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


def test_a_preflight_is_answered_for_the_origins_of_browser_keys(client: Client) -> None:
    yes = client.request("OPTIONS", "/events", headers=PREFLIGHT | {"Origin": SHOP})
    assert (yes.status_code, yes.headers["access-control-allow-origin"]) == (204, SHOP)
    assert yes.headers["access-control-allow-methods"] == "POST"
    assert "X-API-Key" in yes.headers["access-control-allow-headers"]
    no = client.request("OPTIONS", "/events", headers=PREFLIGHT | {"Origin": f"{SHOP}.evil.example"})
    assert no.status_code == 403
    for name in ("access-control-allow-origin", "access-control-allow-methods"):
        assert name not in no.headers
    assert {answer.headers["vary"] for answer in (yes, no)} == {"Origin"}
    assert client.request("OPTIONS", "/events", headers={"Origin": SHOP}).status_code == 405
    assert client.request("OPTIONS", "/metrics", headers=PREFLIGHT | {"Origin": SHOP}).status_code == 405


def test_a_page_can_read_refusals_too_and_other_pages_nothing(client: Client) -> None:
    for answer in (
        send(client, "page-key", Origin=SHOP),
        send(client, "page-key", event(quantity=0), Origin=SHOP),
        send(client, "nobody", Origin=SHOP),
        client.post("/events", content=b"x" * 5_000_000, headers={"Origin": SHOP}),
    ):
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in send(client, "app-key", Origin="https://else.example").headers
    assert "access-control-allow-origin" not in client.get("/metrics", headers={"Origin": SHOP}).headers


def test_the_script_may_be_loaded_by_any_page_and_is_asked_for_by_its_tag(client: Client) -> None:
    script = client.get("/collector.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cross-origin-resource-policy"] == "cross-origin"
    assert client.get("/health").headers["cross-origin-resource-policy"] == "same-origin"
    assert script.headers["cache-control"] == "public, max-age=3600"
    assert len(script.content) < 4096
    again = client.get("/collector.js", headers={"If-None-Match": f"W/{script.headers['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/collector.js", headers={"If-None-Match": '"old"'}).status_code == 200


def test_ids_of_people_are_hidden_before_they_are_stored_and_duplicates_stay_duplicates(
    client: Client, inbox: Path
) -> None:
    assert send(client, "app-key", event(**PERSON)).json()["events"][0]["status"] == "accepted"
    assert send(client, "app-key", event(**PERSON)).json()["events"][0]["status"] == "duplicate"
    assert send(client, "app-key", event(**PERSON | {"customer_id": "veli"})).status_code == 409
    store = Inbox(inbox)
    (found,) = store.after(0, 10)
    store.close()
    assert found.event.customer_id == pseudonym("ali@shop.example", PSEUDONYM_KEY.encode())
    assert found.event.session_id == pseudonym("session-of-ali", PSEUDONYM_KEY.encode(), "session_id")


BAD: dict[str, dict[str, Any]] = {
    "too long": event(customer_id="ali@shop.example" * 20),
    "a control character": event(customer_id="ali@shop.example\x07"),
    "a list": event(customer_id=["ali@shop.example"]),
    "another field is missing": {
        name: value for name, value in event(**PERSON).items() if name not in {"quantity", "event_id"}
    },
    "another field is wrong": event(**PERSON, quantity=0),
    "in an unknown field": event(email="ali@shop.example"),
    "in the future": event(**PERSON, occurred_at=(datetime.now(UTC) + timedelta(days=9)).isoformat()),
}
TOLD_TO_THE_SENDER = [event() | {"ali@shop.example": 1}, event(product_id="session-of-ali" * 20)]
"""People where nobody looks for them: an answer may repeat that to who sent it, no store may."""


@pytest.mark.parametrize("name", BAD)
def test_a_refusal_does_not_repeat_who_it_was(
    client: Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    alone, together = send(client, "app-key", BAD[name]), send(client, "app-key", [BAD[name]])
    assert (alone.status_code, together.json()["events"][0]["status"]) == (422, "refused")
    for text in (alone.text, together.text, caplog.text):
        assert [person for person in PERSON.values() if person in text] == []


def test_no_file_of_a_real_collector_holds_who_bought(tmp_path: Path) -> None:
    """Inbox, its write-ahead log and both outputs of the process, after accepted and refused events."""
    variables = {"COLLECTOR_INBOX": str(tmp_path / "inbox.sqlite"), "COLLECTOR_API_KEY": "k" * 16}
    with listener() as bound, running("apps.collector", variables, bound) as process:
        with httpx.Client(base_url=process.url, headers={"X-API-Key": "k" * 16}, timeout=30) as http:
            assert http.post("/events", json=event(**PERSON)).status_code == 202
            for bad in [*BAD.values(), *TOLD_TO_THE_SENDER]:
                http.post("/events", json=bad)
                http.post(
                    "/events", content=json.dumps(bad)[:-1], headers={"Content-Type": "application/json"}
                )
        process.popen.terminate()
        _, output, errors = process.ended()
    files = [file.read_bytes() for file in tmp_path.iterdir()]
    everything = b"\n".join([*files, output.encode(), errors.encode()])
    assert b"p1-" in everything
    assert [person for person in PERSON.values() if person.encode() in everything] == []
    assert (tmp_path / "pseudonym.key").stat().st_mode & 0o777 == 0o600


def test_outside_of_a_laptop_a_process_without_a_pseudonym_key_does_not_start(tmp_path: Path) -> None:
    variables = {
        "COLLECTOR_INBOX": str(tmp_path / "inbox.sqlite"),
        "COLLECTOR_API_KEY": "k" * 16,
        "COLLECTOR_ENVIRONMENT": "staging",
    }
    with listener() as bound, running("apps.collector", variables, bound) as process:
        code, _, errors = process.ended()
    assert code == 1
    assert errors.startswith("COLLECTOR_PSEUDONYM_KEY is not set (makes customer and session ids pseudonyms")


def test_the_command_makes_a_key_that_the_collector_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.jsonl"
    made = []
    for _ in range(2):
        assert new_key.main(["--source", "web", "--environment", "local"], "key") == 0
        made.append(json.loads(capsys.readouterr().out))
    assert made[0]["key"] != made[1]["key"]
    assert made[0]["key"] not in made[0]["line"]
    keys.write_text(made[0]["line"] + "\n")
    with answering(create(CollectorSettings(keys_file=keys, inbox=tmp_path / "inbox.sqlite"))) as client:
        assert [send(client, each["key"]).status_code for each in made] == [202, 401]


def test_the_command_refuses_a_browser_key_without_pages(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--source", "web", "--environment", "local", "--role", "browser"]
    assert new_key.main(arguments, "key") == 1
    said = capsys.readouterr()
    assert (said.out, "origins are needed" in said.err) == ("", True)
