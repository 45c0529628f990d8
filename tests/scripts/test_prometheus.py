"""The client of Prometheus on real sockets: it asks once, waits so long, follows nobody and tells no secret."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from scripts.errors import Refused
from scripts.evidence import prometheus
from scripts.evidence.prometheus import NotMeasured, Prometheus
from tests.scripts.free_port import free_port

AT = datetime(2026, 11, 1, 10, tzinfo=UTC)
VECTOR = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1793527200,"2"]}]}}'

Respond = Callable[[BaseHTTPRequestHandler], object]


def send(data: bytes, status: int = 200, **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return respond


@contextmanager
def server(respond: Respond) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """A URL that answers so, and what was asked of it."""
    asked: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self)
            respond(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}", asked
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def test_a_question_names_its_time_and_brings_its_token() -> None:
    with server(send(VECTOR)) as (url, asked):
        (series,) = Prometheus(f"{url}/behind/a/path", token="t0k3n").vector("up", AT)
    assert (series.labels, series.points, series.value) == ({"a": "b"}, ((1793527200.0, 2.0),), 2.0)
    (request,) = asked
    parts = urlsplit(request.path)
    assert parts.path == "/behind/a/path/api/v1/query"
    assert parse_qs(parts.query) == {"query": ["up"], "time": ["1793527200.000"]}
    assert request.headers["Authorization"] == "Bearer t0k3n"


def test_the_time_there_is_its_answer_to_time() -> None:
    scalar = b'{"status":"success","data":{"resultType":"scalar","result":[1793527200.1,"1793527200.1"]}}'
    with server(send(scalar)) as (url, asked):
        there = Prometheus(url).now()
    assert there.timestamp() == 1793527200.1
    assert "time=" not in asked[0].path.partition("query=time%28%29")[2]


def reason(url: str) -> str:
    with pytest.raises(NotMeasured) as caught:
        Prometheus(url, token="t0k3n").vector("up", AT)
    assert "t0k3n" not in str(caught.value)
    assert str(caught.value).endswith("; asked was up")
    return caught.value.reason


def test_a_body_shorter_than_announced_is_no_answer() -> None:
    with server(send(VECTOR[:-30], Content_Length=str(len(VECTOR)))) as (url, _):
        assert reason(url) == "metrics_broken_off"


def test_a_redirect_is_not_followed() -> None:
    with server(send(VECTOR)) as (elsewhere, asked), server(send(b"", 302, Location=elsewhere)) as (url, _):
        assert reason(url) == "metrics_redirect"
        assert asked == []


def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_TIMEOUT_SECONDS", 0.2)
    with server(lambda _: time.sleep(0.6)) as (url, asked):
        assert reason(url) == "metrics_timeout"
    assert len(asked) == 1


def test_nobody_there() -> None:
    assert reason(f"http://127.0.0.1:{free_port()}") == "metrics_unreachable"


def test_a_server_of_something_else() -> None:
    with server(send(b"\x00\x01")) as (url, _):
        assert reason(url) == "metrics_not_json"


@pytest.mark.parametrize(
    "url", ["http://ada:pa55word@prometheus.invalid", "file:///etc/passwd", "prometheus:9090", ""]
)
def test_an_address_is_a_url_without_a_password(url: str) -> None:
    with pytest.raises(Refused, match="no http\\(s\\) URL") as caught:
        Prometheus(url)
    assert "pa55word" not in str(caught.value)


def test_the_answer_is_read_as_prometheus_writes_numbers() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        text = VECTOR.replace(b'"2"', b'"1.5e-05"')
        return httpx.Response(200, content=text)

    (series,) = Prometheus("http://p.invalid", transport=httpx.MockTransport(answer)).vector("up", AT)
    assert series.value == 0.000015
