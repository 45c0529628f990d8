"""The load generator counts what a server does to it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.cluster.load import Load

_ANSWER = b"HTTP/1.1 200 OK\r\nX-Model-Version: 3\r\nContent-Length: 2\r\n\r\n{}"
_CLOSING = _ANSWER.replace(b"Content-Length", b"Connection: close\r\nContent-Length")

Serve = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def _answer_everything(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(_ANSWER)


async def _answer_once(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a process that ends in order does."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_CLOSING)


async def _reset_every_fifth(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    if number % 5 == 0:
        writer.transport.abort()
    else:
        writer.write(_CLOSING)


async def _refuse(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")


@pytest.mark.parametrize("serve", [_answer_everything, _answer_once])
def test_a_server_that_answers_loses_nothing(serve: Serve) -> None:
    report, connections = asyncio.run(_loaded(serve))
    assert report["requests"] == report["answered"] == report["versions"]["3"] > 20
    assert report["failed"] == 0
    assert (connections < report["requests"]) == (serve is _answer_everything)


def test_a_connection_that_breaks_is_a_failure_and_no_second_try() -> None:
    report, connections = asyncio.run(_loaded(_reset_every_fifth))
    assert connections == report["requests"] == report["answered"] + report["failed"]
    assert report["failed"] == connections // 5
    assert {failure["kept"] for failure in report["failures"]} == {True, False}


def test_another_status_is_a_failure_and_its_words_are_shown() -> None:
    report, _ = asyncio.run(_loaded(_refuse))
    assert report["failed"] == report["requests"]
    assert "503 service unavailable: busy" in report["failures"][0]["error"]


def test_a_closed_door_is_a_failure() -> None:
    report, _ = asyncio.run(_loaded(_answer_once, open_door=False))
    assert report["failed"] == report["requests"]
    assert "ConnectionRefusedError" in report["failures"][0]["error"]


async def _loaded(serve: Serve, *, open_door: bool = True) -> tuple[dict[str, Any], int]:
    """The report of half a second at a hundred requests a second, and how many connections there were."""
    connections = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await serve(connections, reader, writer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if not open_door:
        server.close()
    made, stop = Load(f"http://127.0.0.1:{port}/forecast?limit=1", rate=100), asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stop.set)
    await made.run(stop)
    made.close()
    server.close()
    await asyncio.sleep(0.05)  # connections hear that they are closed
    return made.report(), connections
