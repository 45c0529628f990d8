"""The service over HTTP: alarms in, incidents out, what people do, and what is on disk when it answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from apps.oncall import commands, trail
from apps.oncall.main import create
from tests.apps.client import Client, answering
from tests.apps.oncall.world import KEY, TOKEN, alert, group, settings

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PERSON = {"X-API-Key": KEY}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    quiet = settings(tmp_path, smtp_port=9, tick_seconds=0.05)
    with answering(create(quiet)) as client:
        yield client


def act(client: Client, verb: str, number: int = 1, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"/incidents/{number}/{verb}", json=body, headers=PERSON)
    return answer.status_code, answer.json()


def test_a_life_of_an_incident(client: Client) -> None:
    taken = client.post("/alerts/page", json=group(alert("f1", pod="a\x00b")), headers=BEARER)
    assert (taken.status_code, taken.json()) == (200, {"incident": 1})
    status, found = act(client, "acknowledge", by="ayse", note="on it")
    assert status == 200
    assert (found["status"], found["level"], found["runbook_url"]) == (
        "acknowledged",
        1,
        "https://git.example.com/runbook#ServiceDown",
    )
    assert found["acknowledged_by"].startswith("ayse by way of oncall:")
    assert {sent["target"] for sent in found["notifications"]} == {"ayse", "slack"}
    assert act(client, "notes", note="the disk is full")[0] == 200
    assert act(client, "resolve")[1]["status"] == "resolved"
    status, problem = act(client, "acknowledge")
    assert (status, problem["type"]) == (409, "urn:purchase-prediction:incident-closed")
    shown = client.get("/incidents/1", headers=PERSON).json()
    assert [entry["what"] for entry in shown["trail"]] == [
        "opened",
        "told",
        "acknowledged",
        "noted",
        "resolved",
    ]


@pytest.mark.parametrize(
    ("verb", "told"),
    [("escalate", ["escalated", "told"]), ("notes", ["noted"]), ("resolve", ["resolved"])],
)
def test_a_request_that_comes_twice_with_its_key_changes_nothing_more(
    client: Client, verb: str, told: list[str]
) -> None:
    for key in ("g1", "g2"):
        client.post("/alerts/page", json=group(key=key), headers=BEARER)

    def trail_after(number: int, once: str) -> list[str]:
        headers = {**PERSON, "Idempotency-Key": once}
        answer = client.post(f"/incidents/{number}/{verb}", json={"note": "why"}, headers=headers)
        assert answer.status_code == 200
        return [entry["what"] for entry in answer.json()["trail"]]

    once = trail_after(1, "a")
    assert once == ["opened", "told", *told]
    assert trail_after(1, "a") == once
    assert trail_after(2, "a") == once, "another incident"
    if verb != "resolve":
        assert trail_after(1, "b") == [*once, *told], "another request"


def test_pages_of_incidents_are_newest_first_and_can_be_narrowed(client: Client) -> None:
    for number in range(5):
        client.post("/alerts/page", json=group(key=f"g{number}"), headers=BEARER)
    client.post("/alerts/ticket", json=group(), headers=BEARER)
    act(client, "resolve", 2)

    def ids(**parameters: Any) -> tuple[list[int], int | None]:
        answer = client.get("/incidents", params=parameters, headers=PERSON).json()
        return [each["id"] for each in answer["incidents"]], answer["next"]

    assert ids(limit=4) == ([6, 5, 4, 3], 3)
    assert ids(limit=4, before=3) == ([2, 1], None)
    assert ids(severity="ticket") == ([6], None)
    assert ids(status="resolved") == ([2], None)


def test_who_is_on_call_is_told(client: Client) -> None:
    told = client.get("/on-call", headers=PERSON).json()["responsible"]
    assert [(each["severity"], each["level"]) for each in told] == [
        *(("page", level) for level in (1, 2, 3)),
        *(("ticket", level) for level in (1, 2)),
    ]


@pytest.mark.parametrize(
    "headers", [{}, PERSON, {"Authorization": "Bearer "}, {"Authorization": f"Basic {TOKEN}"}]
)
def test_only_alertmanagers_token_opens_its_routes(client: Client, headers: dict[str, str]) -> None:
    assert client.post("/alerts/page", json=group(), headers=headers).status_code == 401
    assert client.post("/alerts/heartbeat", json=group(), headers=headers).status_code == 401
    assert client.get("/incidents", headers=BEARER | headers).json() == {"incidents": [], "next": None}


def test_alertmanagers_token_acknowledges_nothing(client: Client) -> None:
    client.post("/alerts/page", json=group(), headers=BEARER)
    assert client.post("/incidents/1/acknowledge", json={}, headers=BEARER).status_code == 401
    assert client.post("/incidents/1/acknowledge", json={}, headers={"X-API-Key": TOKEN}).status_code == 401


def test_what_is_no_notification_is_refused(client: Client) -> None:
    answer = client.post("/alerts/page", json={"version": "4", "alerts": []}, headers=BEARER)
    assert answer.status_code == 422
    assert "groupKey" in answer.json()["detail"]


def test_without_a_database_nothing_is_taken_and_it_is_to_be_sent_again(tmp_path: Path) -> None:
    gone = settings(tmp_path, database=tmp_path / "file" / "oncall.sqlite", smtp_port=9)
    with answering(create(gone)) as client:
        client.post("/alerts/page", json=group(), headers=BEARER)
        for file in (tmp_path / "file").iterdir():
            file.unlink()
        answer = client.post("/alerts/page", json=group(key="g2"), headers=BEARER)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert client.get("/ready").status_code == 503


def test_an_export_of_the_trail_holds_and_every_change_of_it_is_seen(
    client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client.post("/alerts/page", json=group(), headers=BEARER)
    act(client, "acknowledge", by="ayse")
    act(client, "resolve")
    lines = client.get("/trail", headers=PERSON).text.splitlines()
    assert trail.verify(lines) is None
    for number in range(len(lines)):
        changed = json.loads(lines[number])
        changed["entry"] = changed["entry"].replace('"what":"', '"what":"not ')
        assert trail.verify([*lines[:number], json.dumps(changed), *lines[number + 1 :]]) is not None
        left_out = lines[:number] + lines[number + 1 :]
        assert (trail.verify(left_out) is None) == (
            number == len(lines) - 1
        )  # a tail: its digest is kept elsewhere
    assert trail.verify([lines[1], lines[0], *lines[2:]]) is not None
    file = tmp_path / "trail.jsonl"
    file.write_text("\n".join(lines))
    assert commands.main(["verify", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["last_sha256"] == json.loads(lines[-1])["sha256"]
    file.write_text("\n".join(lines[1:]))
    assert commands.main(["verify", str(file)]) == 1
    rest = client.get("/trail", params={"after": 2}, headers=PERSON).text.splitlines()
    assert rest == lines[2:]


def test_a_service_outside_of_a_laptop_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside of a laptop"):
        settings(tmp_path, environment="platform")
    with pytest.raises(ValueError, match="at least 16"):
        settings(tmp_path, alert_token=SecretStr("short"))
