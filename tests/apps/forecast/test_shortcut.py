"""A shortcut answers what its route would, and only where the route lets anybody in."""

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.params import Depends
from starlette.types import Message, Receive, Scope, Send

from apps.chassis.access import ANYONE, KEY_HOLDER
from apps.forecast.shortcut import Headers, Shortcut


def routes(*rules: Depends) -> Any:
    router = APIRouter()
    for rule in rules:

        @router.get("/things/{name}", dependencies=[rule])
        async def thing(name: str) -> str:
            return name

    return router.routes


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})


def ready(name: str) -> tuple[bytes, Headers] | None:
    return (b"found", [(b"content-type", b"text/plain")]) if name == "a/b" else None


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
    return Shortcut(behind, "/things/", "/things/{name}", ready, routes(*rules))


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
    "rules", [(KEY_HOLDER,), (), (ANYONE, KEY_HOLDER)], ids=["a key", "no route", "both"]
)
def test_a_route_that_asks_for_more_than_nothing_has_no_shortcut(rules: tuple[Depends, ...]) -> None:
    assert answer(over(*rules))[0]["status"] == 418
