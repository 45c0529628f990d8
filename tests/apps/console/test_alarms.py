"""The page of alarms over a real on-call service, and without one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from apps.console.alarms import link
from apps.console.settings import ConsoleSettings
from tests.apps.client import Client
from tests.apps.console.said import english
from tests.apps.console.signed_in import PEOPLE, form_token, signed_in, users_file
from tests.apps.console.test_console import NOWHERE, PATIENT_SECONDS, Page
from tests.apps.oncall.test_routes import BEARER, PERSON
from tests.apps.oncall.world import KEY, TOKEN, alert, group, settings
from tests.apps.process import listener, running


@pytest.fixture(scope="module")
def oncall_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two alarms, of which one is acknowledged; one names an address that is none to link to."""
    folder = tmp_path_factory.mktemp("oncall")
    given = settings(folder)
    values = {"rota": given.rota, "database": given.database, "alert_token": TOKEN, "api_key": KEY}
    values |= {"smtp_host": "127.0.0.1", "smtp_port": "9", "mail_from": given.mail_from}
    variables = {f"ONCALL_{name.upper()}": str(value) for name, value in values.items()}
    with listener() as bound, running("apps.oncall", variables, bound) as process:
        hostile = alert("f2", pod="<script>alert(1)</script>")
        hostile["annotations"] = {"summary": "<b>bold</b>", "runbook_url": "javascript:alert(1)"}
        for sent in (group(), group(hostile, key="g2")):
            httpx.post(f"{process.url}/alerts/page", json=sent, headers=BEARER).raise_for_status()
        httpx.post(
            f"{process.url}/incidents/1/acknowledge", json={"by": "ayse"}, headers=PERSON
        ).raise_for_status()
        yield process.url


def console(tmp_path: Path, url: str) -> ConsoleSettings:
    users = users_file(tmp_path)
    return ConsoleSettings(
        repository=tmp_path,
        users_file=users,
        oncall_url=url,
        oncall_key=SecretStr(KEY),
        page_seconds=PATIENT_SECONDS,
    )


@pytest.fixture
def client(tmp_path: Path, oncall_url: str) -> Iterator[Client]:
    with signed_in(console(tmp_path, oncall_url)) as client:
        yield client


def test_alarms_are_listed_with_their_runbook_and_who_is_on_call(client: Client) -> None:
    page = Page(client.get("/alarms").text)
    assert re.search(r"\d+ alarms", page.text)
    assert "ServiceDown (forecast)" in page.text
    assert "acknowledged" in page.text
    assert {"/alarms/1", "/alarms/2", "https://git.example.com/runbook#ServiceDown"} <= set(page.links)
    assert {"Ayse", "Deniz", "Can"} <= set(page.words)


def test_one_alarm_says_what_happened(client: Client) -> None:
    page = Page(client.get("/alarms/1").text)
    assert "acknowledged · ayse by way of oncall:" in page.text
    assert "ayse (mail)" in page.text
    assert "slack (slack)" in page.text
    answer = client.get("/alarms/77")
    assert answer.status_code == 404
    assert "there is no incident 77" in Page(answer.text).text


def test_what_labels_hold_is_text_and_no_link(client: Client) -> None:
    answer = client.get("/alarms/2").text
    assert "<script>" not in answer
    assert not [address for address in Page(answer).links if address.startswith("javascript")]
    assert [link(each) for each in ("javascript:a", "//x", None, "https://x")] == [
        None,
        None,
        None,
        "https://x",
    ]


@pytest.fixture
def controller(tmp_path: Path, oncall_url: str) -> Iterator[Client]:
    with signed_in(console(tmp_path, oncall_url), "controller") as client:
        yield client


@pytest.fixture
def number(oncall_url: str, request: pytest.FixtureRequest) -> int:
    """A new incident of this test alone."""
    sent = group(alert(request.node.name), key=request.node.name)
    answer = httpx.post(f"{oncall_url}/alerts/page", json=sent, headers=BEARER).raise_for_status()
    return int(answer.json()["incident"])


def form_of(client: Client, number: int, do: str, note: str = "") -> dict[str, str]:
    """What a browser sends of the page when that button is pressed."""
    page = client.get(f"/alarms/{number}").text
    (once,) = re.findall(r'name="once" value="([^"]+)"', page)
    assert f'name="do" value="{do}"' in page
    return {"form": form_token(page), "once": once, "do": do, "note": note}


def trail(url: str, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/incidents/{number}", headers=PERSON).json()["trail"]
    return found


@pytest.mark.parametrize(
    ("do", "what"),
    [
        ("acknowledge", ["acknowledged"]),
        ("escalate", ["escalated", "told"]),
        ("notes", ["noted"]),
        ("resolve", ["resolved"]),
    ],
)
def test_a_button_does_it_once_and_the_trail_names_who_pressed_it(
    controller: Client, oncall_url: str, number: int, do: str, what: list[str]
) -> None:
    form = form_of(controller, number, do, "disk is full")
    for _ in range(2):  # the second is the same form again
        answer = controller.post(f"/alarms/{number}", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/alarms/{number}")
    entries = trail(oncall_url, number)[2:]
    assert [each["what"] for each in entries] == what
    assert entries[0]["who"].startswith(f"{PEOPLE['controller']} by way of oncall:")
    assert entries[0]["detail"]["note"] == "disk is full"
    found = httpx.get(f"{oncall_url}/incidents/{number}", headers=PERSON).json()
    assert found["status"] == {"acknowledge": "acknowledged", "resolve": "resolved"}.get(do, "open")
    assert "disk is full" in Page(controller.get(f"/alarms/{number}").text).text


def test_what_the_service_refuses_is_said_and_nothing_is_lost(
    controller: Client, oncall_url: str, number: int
) -> None:
    late = form_of(controller, number, "acknowledge", "mine")
    controller.post(f"/alarms/{number}", data=form_of(controller, number, "resolve"))
    answer = controller.post(f"/alarms/{number}", data=late)
    assert answer.status_code == 409
    assert f"incident {number} is resolved" in Page(answer.text).text
    assert 'value="mine"' in answer.text
    empty = controller.post(f"/alarms/{number}", data=form_of(controller, number, "notes"))
    assert empty.status_code == 422
    assert "Write a note" in Page(empty.text).text
    assert [each["what"] for each in trail(oncall_url, number)] == ["opened", "told", "resolved"]


@pytest.mark.parametrize(("field", "value"), [("do", "delete"), ("do", ""), ("once", ""), ("once", "a\r\nb")])
def test_a_form_that_is_not_ours_is_refused(controller: Client, field: str, value: str) -> None:
    form = form_of(controller, 1, "notes", "x")
    assert controller.post("/alarms/1", data=form | {field: value}).status_code == 422


def test_a_viewer_has_no_buttons(client: Client) -> None:
    page = client.get("/alarms/2").text
    assert 'name="do"' not in page
    assert "Controllers acknowledge" in page
    answer = client.post("/alarms/2", data={"form": form_token(page), "once": "x", "do": "resolve"})
    assert answer.status_code == 403


def test_without_the_service_a_change_says_so(tmp_path: Path) -> None:
    with signed_in(console(tmp_path, NOWHERE), "controller") as client:
        form = {"form": form_token(client.get("/alarms").text), "once": "x", "do": "resolve", "note": "y"}
        answer = client.post("/alarms/1", data=form)
        assert answer.status_code == 503
        assert f"oncall does not answer at {NOWHERE}" in Page(answer.text).text


def test_in_turkish(controller: Client, number: int) -> None:
    page = controller.get(f"/alarms/{number}", headers={"Accept-Language": "tr"}).text
    assert "Üstlen" in page
    assert "Only add" not in page


def test_an_alarm_of_our_rules_is_told_in_turkish_and_one_of_others_is_marked(
    controller: Client, oncall_url: str
) -> None:
    theirs, turkish = "the fan of rack seven turns too slowly", {"Accept-Language": "tr"}
    numbers = []
    for summary in ("No pod answers behind the Service", theirs):
        sent = alert(summary)
        sent["annotations"] = {
            "summary": summary,
            "runbook_url": "https://git.example.com/docs/runbook.md#servicedown",
        }
        answer = httpx.post(f"{oncall_url}/alerts/page", json=group(sent, key=summary), headers=BEARER)
        numbers.append(answer.raise_for_status().json()["incident"])
    listed = controller.get("/alarms", headers=turkish).text
    assert theirs in english(listed)
    assert "No pod answers behind the Service" not in listed
    ours, other = (controller.get(f"/alarms/{number}", headers=turkish).text for number in numbers)
    assert "Service&#39;in arkasında hiçbir pod yanıt vermiyor" in ours
    refused = {
        text for text in english(ours) if "Connection refused" in text
    }  # the mail server's port, by its system
    assert set(english(ours)) == refused
    assert set(english(other)) - refused == {theirs}
    assert "https://git.example.com/docs/runbook.tr.md#servicedown" in Page(ours).links
    assert (
        "https://git.example.com/docs/runbook.md#servicedown"
        in Page(controller.get(f"/alarms/{numbers[0]}").text).links
    )


def test_without_the_service_the_page_says_so(tmp_path: Path) -> None:
    with signed_in(console(tmp_path, NOWHERE)) as client:
        answer = client.get("/alarms")
        assert answer.status_code == 200
        assert f"oncall does not answer at {NOWHERE}" in Page(answer.text).text
        assert client.get("/alarms/1").status_code == 200
