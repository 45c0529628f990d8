"""A shortcut answers what its route would, and whom its route would."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.params import Depends
from starlette.types import Message, Receive, Scope, Send

from apps.chassis.access import ANYONE, CONTROLLER, EVENT_SENDER, READER
from apps.forecast.main import create
from apps.forecast.shortcut import Ready, Shortcut
from tests.apps.client import answering
from tests.apps.credentials import ENVIRONMENT, key_file, keys, tokens
from tests.apps.forecast.store import Shop
from tests.apps.identity_provider import AUDIENCE, provider


def routes(*rules: Depends) -> Any:
    router = APIRouter()
    for rule in rules:

        @router.get("/things/{name}", dependencies=[rule])
        async def thing(name: str) -> str:
            return name

    return router.routes


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})


def find(name: str) -> Ready | None:
    return Ready(b"found", [(b"content-type", b"text/plain")], lambda: None) if name == "a/b" else None


def answer(shortcut: Shortcut, **changes: object) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/things/a/b", "query_string": b""} | changes
    asyncio.run(shortcut(scope, receive, send))
    return sent


def over(*rules: Depends) -> Shortcut:
    return Shortcut(behind, "/things/", "/things/{name}", find, routes(*rules))


def test_what_is_ready_is_answered() -> None:
    start, body = answer(over(ANYONE))
    assert start["status"] == 200
    assert dict(start["headers"]) == {b"content-length": b"5", b"content-type": b"text/plain"}
    assert body["body"] == b"found"


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/things/other"},
        {"path": "/elsewhere/a/b"},
        {"method": "POST"},
        {"method": "HEAD"},
        {"query_string": b"x=1"},
        {"type": "websocket"},
    ],
)
def test_anything_else_is_the_routes(changes: dict[str, object]) -> None:
    assert answer(over(ANYONE), **changes)[0]["status"] == 418


@pytest.mark.parametrize(
    "rules",
    [(), (ANYONE, READER), (READER, CONTROLLER), (EVENT_SENDER,)],
    ids=["no route", "a rule and none", "two rules", "a rule that is not a reader's"],
)
def test_a_route_whose_rule_is_not_plain_has_no_shortcut(rules: tuple[Depends, ...]) -> None:
    assert answer(over(*rules))[0]["status"] == 418


@pytest.mark.parametrize("rate", [1e6, 0.5])
def test_the_shortcut_and_the_route_refuse_the_same(shop: Shop, tmp_path: Path, rate: float) -> None:
    """A query takes the route, as the metrics' names of both tell; a slow rate refuses the second request."""
    with provider() as idp:
        settings = shop.settings(
            environment=ENVIRONMENT,
            keys_file=key_file(tmp_path),
            oidc_issuer=idp.url,
            oidc_audience=AUDIENCE,
            rate_per_second=rate,
        )
        told = []
        for query in ("", "?x=1"):
            with answering(create(settings)) as client:
                shown = keys() | tokens(idp)
                answers = {
                    name: [client.get(f"/forecast/P0004{query}", headers=each.headers) for _ in range(2)]
                    for name, each in shown.items()
                }
                listed = client.get("/metrics", headers=keys()["viewer"].headers).text
            told.append({name: [plain(answer) for answer in both] for name, both in answers.items()})
            counted = {line for line in listed.splitlines() if line.startswith("rate_limited_total")}
            assert bool(counted) == (rate < 1)
    assert told[0] == told[1]
    assert {status for both in told[0].values() for status, *_ in both} == (
        {200, 401, 403} | ({429} if rate < 1 else set())
    )


def plain(answer: httpx.Response) -> tuple[int, object, dict[str, str]]:
    """What is the same for the same answer: all but the request's id and what depends on the moment."""
    body = answer.json()
    body.pop("request_id", None)
    return answer.status_code, body, {k: v for k, v in answer.headers.items() if k != "x-request-id"}


def test_who_is_refused_is_not_counted_as_served(shop: Shop, tmp_path: Path) -> None:
    settings = shop.settings(
        environment=ENVIRONMENT, keys_file=key_file(tmp_path), served_store=tmp_path / "served"
    )
    with answering(create(settings)) as client:
        assert client.get("/forecast/P0004").status_code == 401
        assert client.get("/forecast/P0005", headers=keys()["viewer"].headers).status_code == 200
    (file,) = (tmp_path / "served").rglob("*.jsonl")
    assert "P0005" in file.read_text()
    assert "P0004" not in file.read_text()
