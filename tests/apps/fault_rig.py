"""Forecast, decision and collector as real processes, and every link from them to what they depend on."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

import httpx
import psutil

from ml.inbox_location import DatabaseUrl
from ml.product_history import ProductHistory
from tests.apps.collector.senders import HEADERS, KEY, PSEUDONYM_KEY, wire_event
from tests.apps.faulty_link import HALF_OPEN, RESET, SLOW, Link, linked
from tests.apps.forecast.store import Shop
from tests.apps.process import Process, listener, running
from tests.redis_server import PASSWORDS, RedisServer
from tests.s3 import BUCKET, KEYS, S3

STORE, INBOX, MLFLOW, PROMETHEUS = "store", "inbox", "MLflow", "Prometheus"
FORECASTS, NAMES, RATES = "forecast service", "DNS", "Redis"
BOTH = f"{MLFLOW} and {INBOX}"
PRODUCT = "P0004"
QUESTIONS = 50
SCRAPERS = 20
WRITE_SECONDS = 3
PATIENCE_SECONDS = 20.0


class Faulty(Protocol):
    """What can be broken."""

    fault: str | None


@dataclass
class Several:
    """Several broken at once."""

    parts: Sequence[Faulty]

    @property
    def fault(self) -> str | None:
        return self.parts[0].fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        for part in self.parts:
            part.fault = fault


@dataclass
class Names:
    """The nameserver, whose faults are only felt by who connects anew."""

    server: Faulty
    links: Sequence[Link]

    @property
    def fault(self) -> str | None:
        return self.server.fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        self.server.fault = fault
        for link in self.links:
            link.cut()


class Scrapers:
    """Prometheus calls, nobody calls it: broken are those who ask for metrics, many at once."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._fault: str | None = None
        self._open: list[socket.socket] = []

    @property
    def fault(self) -> str | None:
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        for connection in self._open:
            connection.close()
        self._open = []
        self._fault = fault
        if fault in {SLOW, RESET, HALF_OPEN}:  # down: it does not come
            for port in [*self._ports] * SCRAPERS:
                self._ask(port, fault)

    def _ask(self, port: int, fault: str) -> None:
        """Late is an answer that nobody reads, reset one that is cut, half open a question without an end."""
        connection = socket.create_connection(("127.0.0.1", port))
        ending = b"" if fault == HALF_OPEN else b"\r\n"
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + ending)
        if fault == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        else:
            self._open.append(connection)


@dataclass
class Rig:
    """Services under test and what can be broken, by name."""

    services: Mapping[str, Process]
    faulty: Mapping[str, Faulty]
    links: Mapping[str, Link]
    shop: Shop
    never_asked: Iterator[str]

    def asks(self) -> dict[str, Callable[[], str]]:
        """What is asked, by the name that the page has for it; each tells its answer as the page does."""
        url = {name: process.url for name, process in self.services.items()}
        history = ProductHistory.of(self.shop.history, 4).model_dump()

        def decided(product_id: str) -> str:
            return told(httpx.get(f"{url['decision']}/decision/{product_id}", headers=HEADERS, timeout=30))

        found: dict[str, Callable[[], str]] = {
            "forecast": lambda: _many(f"{url['forecast']}/forecast/{PRODUCT}"),
            "live forecast": lambda: told(
                httpx.post(f"{url['forecast']}/forecast", json=history, headers=HEADERS, timeout=30)
            ),
            "reload": lambda: told(httpx.post(f"{url['forecast']}/reload", headers=HEADERS, timeout=60)),
            "decision": lambda: decided(PRODUCT),
            "new decision": lambda: decided(next(self.never_asked)),
        }
        sent = count()
        if "collector" in url:
            found["event"] = lambda: _sent(f"{url['collector']}/events", f"e-{next(sent)}")
        return found

    def lives(self) -> None:
        """Every process answers `/health`, and those that answer without their dependencies are ready.

        Raises:
            AssertionError: One does not.
        """
        for name, process in self.services.items():
            for path in ("health",) if name == "collector" else ("health", "ready"):
                assert httpx.get(f"{process.url}/{path}", timeout=2).status_code == httpx.codes.OK, name

    def callers(self) -> dict[str, set[str]]:
        """Which services have a connection open to what, by the sockets of their processes."""
        names = {link.port: name for name, link in self.links.items()}
        found: dict[str, set[str]] = {name: set() for name in self.links}
        for service, process in self.services.items():
            for connection in psutil.Process(process.popen.pid).net_connections("inet"):
                if connection.raddr and connection.raddr.port in names:
                    found[names[connection.raddr.port]].add(service)
        return found


def _many(url: str) -> str:
    """One answer for many questions: they must agree, and none may wait a second."""
    with httpx.Client(timeout=1.0, headers=HEADERS) as client:
        answers = {told(client.get(url)) for _ in range(QUESTIONS)}
    return answers.pop() if len(answers) == 1 else f"not agreed: {sorted(answers)}"


def _sent(url: str, event_id: str) -> str:
    """An event that is sent again where nothing was kept, as every sender does: its connection may have ended."""
    content = json.dumps(wire_event(event_id))
    answer = httpx.post(url, content=content, headers=HEADERS, timeout=30)
    if "none of what was sent was kept" in answer.text:
        answer = httpx.post(url, content=content, headers=HEADERS, timeout=30)
    return told(answer)


def told(answer: httpx.Response) -> str:
    """`as ever` for what was asked for, `aged` for an older forecast that says so, else the status."""
    if answer.is_success:
        return "aged" if "forecast_age_seconds" in answer.json() else "as ever"
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert "retry-after" in answer.headers, answer.text
    assert answer.headers["retry-after"], "whoever is refused is told to come again"
    return str(answer.status_code)


@dataclass(frozen=True)
class Platform:
    """What only the whole rig depends on: an inbox, names (and within what they are found), and shared rates."""

    inbox: DatabaseUrl
    names: tuple[Faulty, Sequence[str]]
    rates: RedisServer
    keys: Path


@contextmanager
def rig(shop: Shop, s3: S3, platform: Platform | None = None) -> Iterator[Rig]:
    """All of it running; without a platform no collector and no rates, and everything is found by its address."""
    names, inbox = (platform.names, platform.inbox) if platform else (None, None)
    server, within = names or (None, ())
    with ExitStack() as stack:
        links = {
            name: stack.enter_context(linked(port)) for name, port in _ports(stack, s3, platform).items()
        }

        def address(name: str) -> str:
            return f"{name.partition(' ')[0].lower() if names else '127.0.0.1'}:{links[name].port}"

        def started(service: str, variables: Mapping[str, str]) -> Process:
            bound = stack.enter_context(listener())
            given = {**variables, **mlflow, **_limited(service, platform, address)}
            return stack.enter_context(running(f"apps.{service}", given, bound, within))

        mlflow = {"MLFLOW_TRACKING_URI": f"http://{address(MLFLOW)}"}
        store = {**KEYS, "AWS_ENDPOINT_URL": f"http://{address(STORE)}"}
        location = {"FORECAST_MODEL_STORE": f"s3://{BUCKET}/production"}
        services = {"forecast": started("forecast", shop.variables() | store | location)}
        assert services["forecast"].readiness["ready"], services["forecast"].readiness
        links[FORECASTS].target = services["forecast"].port
        services["decision"] = started("decision", {"DECISION_FORECAST_URL": f"http://{address(FORECASTS)}"})
        if inbox is not None:
            host, _, port = address(INBOX).partition(":")
            where = DatabaseUrl(host, int(port), inbox.database, inbox.user)
            services["collector"] = started("collector", _collecting(where))
        faulty: dict[str, Faulty] = {**links, PROMETHEUS: Scrapers([each.port for each in services.values()])}
        if inbox is not None:
            faulty[BOTH] = Several([links[MLFLOW], links[INBOX]])
        if server is not None:
            faulty[NAMES] = Names(server, list(links.values()))
        fresh = (name for name in shop.history.product_ids if name != PRODUCT)
        yield Rig(services, faulty, links, shop, fresh)


def _ports(stack: ExitStack, s3: S3, platform: Platform | None) -> dict[str, int]:
    """Of what is behind each link; MLflow is a listener that nobody serves, for nobody is to call it."""
    nobody = stack.enter_context(listener()).getsockname()[1]
    ports = {STORE: s3.port, FORECASTS: 0, MLFLOW: nobody}
    return ports if platform is None else ports | {INBOX: platform.inbox.port, RATES: platform.rates.port}


def _limited(service: str, platform: Platform | None, address: Callable[[str], str]) -> dict[str, str]:
    """A key is asked for, and how often it asks is counted in Redis; more often than anything here does is allowed."""
    if platform is None:
        return {}
    prefix, (user, password) = service.upper(), next(iter(PASSWORDS.items()))
    return {
        f"{prefix}_ENVIRONMENT": user,
        f"{prefix}_KEYS_FILE": str(platform.keys),
        f"{prefix}_RATE_STORE": f"redis://{user}:{password}@{address(RATES)}",
        f"{prefix}_RATE_PER_SECOND": "10000",
        "DECISION_FORECAST_KEY": KEY,
    }


def _collecting(inbox: DatabaseUrl) -> dict[str, str]:
    return {
        "COLLECTOR_INBOX": str(inbox),
        "COLLECTOR_API_KEY": KEY,
        "COLLECTOR_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "COLLECTOR_CREATE_INBOX": "false",
        "COLLECTOR_WRITE_TIMEOUT_SECONDS": str(WRITE_SECONDS),
    }


def until_as_ever(ask: Callable[[], str]) -> None:
    """Return once the answer is as ever again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    said = "nothing"
    while said != "as ever":
        assert time.monotonic() < deadline, f"still {said} after {PATIENCE_SECONDS:g} s"
        with suppress(httpx.HTTPError):
            said = ask()
        time.sleep(0.05)
