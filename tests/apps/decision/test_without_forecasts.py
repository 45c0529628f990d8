"""A real forecast service is stopped, killed or cuts connections: decisions go on for a stated time, and say so."""

import asyncio
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from apps.chassis.outgoing import Caller
from apps.chassis.problems import Problem
from apps.decision.forecast_client import ForecastClient
from apps.decision.kept_answers import KeptAnswers
from apps.decision.main import create
from apps.decision.schemas import Decision, Portfolio
from apps.decision.settings import DecisionSettings
from tests.apps.client import Client, answering
from tests.apps.forecast.store import Shop
from tests.apps.process import Process, listener, running

TIMEOUT = 0.4
PRODUCT, ANOTHER = "P0004", "P0005"


@contextmanager
def stopped(process: Process, _: socket.socket) -> Iterator[None]:
    """Half open: connections are taken and nothing comes."""
    process.popen.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.popen.send_signal(signal.SIGCONT)


@contextmanager
def killed(process: Process, bound: socket.socket) -> Iterator[None]:
    """Gone, and its port with it: connections are refused."""
    process.popen.kill()
    process.popen.wait()
    bound.close()
    yield


@contextmanager
def resetting(process: Process, bound: socket.socket) -> Iterator[None]:
    """Gone, and whatever has its address cuts every connection."""
    process.popen.kill()
    process.popen.wait()

    def serve() -> None:
        while True:
            try:
                connection, _ = bound.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    thread = Thread(target=serve)
    thread.start()
    yield
    bound.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def forecasts(shop: Shop) -> Iterator[tuple[Process, socket.socket]]:
    with listener() as bound, running("apps.forecast", shop.variables(), bound) as process:
        assert process.readiness["ready"], process.readiness
        yield process, bound


def deciding(url: str, **changes: Any) -> Any:
    settings = DecisionSettings(forecast_url=url, forecast_timeout_seconds=TIMEOUT, **changes)
    return answering(create(settings))


@pytest.mark.parametrize("error", [AttributeError("getpeername"), RuntimeError("the handler is closed")])
def test_a_connection_that_libraries_lose_under_a_question_is_asked_again(
    error: Exception, shop: Shop, forecasts: tuple[Process, socket.socket]
) -> None:
    """Anyio and uvloop raise what is no HTTP error where a connection is cut at the wrong moment."""
    process, _ = forecasts
    lost = 1

    class Losing(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal lost
            lost -= 1
            if lost >= 0:
                raise error
            return await super().handle_async_request(request)

    async def ask() -> str:
        settings = DecisionSettings(forecast_url=process.url, forecast_kept_seconds=0.0)
        async with ForecastClient(settings, CollectorRegistry()) as client:
            client._client = Caller(base_url=process.url, transport=Losing())
            return (await client.forecast(PRODUCT)).value.product_id

    assert asyncio.run(ask()) == PRODUCT
    lost = 2
    with pytest.raises(Problem, match="ReadError"):
        asyncio.run(ask())


def asked(client: Client, product: str = PRODUCT) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return client.get(f"/decision/{product}"), time.monotonic() - started


def failed(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.headers["retry-after"], answer.json()["type"]) == (
        503,
        "5",
        "urn:purchase-prediction:forecast-unavailable",
    )


@pytest.mark.parametrize("fault", [stopped, killed, resetting])
def test_decisions_go_on_from_what_was_forecast_last_and_say_how_old_it_is(
    forecasts: tuple[Process, socket.socket], fault: Callable[..., Any]
) -> None:
    process, bound = forecasts
    body = {"budget_cents": 100_000}
    with deciding(process.url) as client:
        before, portfolio = (
            client.get(f"/decision/{PRODUCT}").json(),
            client.post("/decision/portfolio", json=body),
        )
        assert "forecast_age_seconds" not in before
        assert "forecast_age_seconds" not in portfolio.json()
        with fault(process, bound):
            answer, seconds = asked(client)
            assert answer.status_code == 200, answer.text
            assert seconds < 2 * TIMEOUT + 2
            told = answer.json()
            assert 0 < told.pop("forecast_age_seconds") < 30
            assert told == before
            whole = client.post("/decision/portfolio", json=body).json()
            assert Portfolio.model_validate(whole).forecast_age_seconds is not None
            assert {**portfolio.json(), "forecast_age_seconds": whole["forecast_age_seconds"]} == whole
            assert failed(client.get(f"/decision/{ANOTHER}")), "it was never asked for, so nothing is kept"
            assert client.get("/ready").status_code == 200
            text = client.get("/metrics").text
            assert 'decision_forecast_requests_total{result="kept"} 2.0' in text
            assert 'decision_forecast_requests_total{result="failed"} 1.0' in text


def test_it_is_asked_again_once_it_can_answer(forecasts: tuple[Process, socket.socket]) -> None:
    process, bound = forecasts
    with deciding(process.url) as client:
        client.get(f"/decision/{PRODUCT}")
        with stopped(process, bound):
            asked(client)
            rested = [asked(client) for _ in range(3)]
            assert all(seconds < TIMEOUT for _, seconds in rested), (
                "a slow service is left alone for a second"
            )
            assert {answer.status_code for answer, _ in rested} == {200}
        deadline = time.monotonic() + 20
        while "forecast_age_seconds" in asked(client)[0].json():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_what_is_older_than_the_setting_is_not_decided_from(
    forecasts: tuple[Process, socket.socket],
) -> None:
    process, bound = forecasts
    with deciding(process.url, forecast_kept_seconds=3) as client:
        client.get(f"/decision/{PRODUCT}")
        began = time.monotonic()
        with stopped(process, bound):
            assert asked(client)[0].status_code == 200
            time.sleep(max(0.0, began + 3.1 - time.monotonic()))
            assert failed(asked(client)[0])


def test_a_connection_that_ends_under_a_request_is_asked_again() -> None:
    asked_for: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as bound:

        def serve() -> None:
            for reply in (b"", b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"):
                connection, _ = bound.accept()
                with connection:
                    asked_for.append(connection.recv(65_536))
                    connection.sendall(reply)

        thread = Thread(target=serve)
        thread.start()
        with deciding(f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            assert client.get(f"/decision/{PRODUCT}").status_code == 404
        thread.join()
    assert len(asked_for) == 2


def test_a_service_that_drips_is_given_up_in_time() -> None:
    """Each byte comes in time, the answer never: the time is for all of it."""
    with socket.create_server(("127.0.0.1", 0)) as bound:

        def serve() -> None:
            connection, _ = bound.accept()
            with connection:
                connection.recv(65_536)
                try:
                    for letter in b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b" " * 60:
                        connection.sendall(bytes([letter]))
                        time.sleep(0.05)
                except OSError:
                    return

        thread = Thread(target=serve)
        thread.start()
        with deciding(f"http://127.0.0.1:{bound.getsockname()[1]}") as client:
            answer, seconds = asked(client)
        thread.join()
    assert failed(answer)
    assert seconds < 2


def test_a_decision_from_a_stale_snapshot_says_so(shop: Shop) -> None:
    variables = shop.variables() | {"FORECAST_STALE_AFTER_SECONDS": "60"}
    with (
        listener() as bound,
        running("apps.forecast", variables, bound) as process,
        deciding(process.url) as client,
    ):
        answer = client.get(f"/decision/{PRODUCT}").json()
        assert answer["forecast_stale"] is True
        assert Decision.model_validate(answer).forecast_stale
        whole = client.post("/decision/portfolio", json={"budget_cents": 100_000}).json()
        assert whole["forecast_stale"] is True
        sent = client.post(
            "/decision", json={"forecast": httpx.get(f"{process.url}/forecast/{PRODUCT}").json()}
        )
        assert sent.json()["forecast_stale"] is True


def test_kept_answers_take_no_more_room_than_they_may_and_those_in_use_stay() -> None:
    kept = KeptAnswers(10)
    for request in "abc":
        kept.put(request, b"1234", 1.0)
    assert kept.get("a") is None
    assert kept.get("b") is not None
    kept.put("d", b"12", 2.0)
    kept.put("d", b"1234", 3.0)
    assert (kept.get("c"), kept.get("b") is not None, kept.size_bytes) == (None, True, 8)
    kept.put("e", b"x" * 11, 4.0)
    assert (kept.get("e"), kept.size_bytes) == (None, 8)
    kept.drop("d")
    assert kept.size_bytes == 4
