"""Every cell of the table of faults in docs/serving.md is as it says, and what was broken comes back.

Cells that last long, and those with PostgreSQL and names, are for `make soak` and `make test-system`.
"""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread

import pytest

from tests.apps.collector.senders import KEY
from tests.apps.credentials import stored
from tests.apps.fault_rig import (
    BOTH,
    FORECASTS,
    INBOX,
    MLFLOW,
    NAMES,
    PROMETHEUS,
    RATES,
    STORE,
    Platform,
    Rig,
    rig,
    until_as_ever,
)
from tests.apps.faulty_link import DOWN, FAULTS, HALF_OPEN, RESET, SLOW, linked
from tests.apps.forecast.store import Shop
from tests.apps.nameserver import nameserver
from tests.postgresql import postgresql
from tests.redis_server import PASSWORDS, redis_server
from tests.repository.imports import ROOT
from tests.s3 import S3, s3_server

HEAD = "| broken | asked | opened by | " + " | ".join(FAULTS) + " |"
CELL = re.compile("as ever|aged|503")
SHORT = {(name, HALF_OPEN) for name in (MLFLOW, PROMETHEUS, RATES, FORECASTS)} | {
    (INBOX, SLOW),
    (NAMES, RESET),
}
"""Beside those that are down; all others are for `make soak`, in some a client gives up after many seconds."""
CORE = [(name, fault) for name in (STORE, FORECASTS) for fault in (DOWN, RESET)]


def rows() -> dict[tuple[str, str], tuple[str, dict[str, str]]]:
    """Of the page: who opens connections to what is broken, and the answer by fault; by what is broken and asked."""
    lines = (ROOT / "docs" / "serving.md").read_text().splitlines()
    found = {}
    for line in lines[lines.index(HEAD) + 2 :]:
        if not line.startswith("|"):
            break
        broken, asked, opened, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for ask in asked.split(", "):
            found[broken, ask] = opened, dict(zip(FAULTS, cells, strict=True))
    return found


ROWS = rows()
BROKEN = list(dict.fromkeys(broken for broken, _ in ROWS))


@pytest.fixture(scope="module")
def s3(shop: Shop) -> Iterator[S3]:
    """A store with the shop's model and snapshot."""
    with s3_server() as server:
        for path in shop.root.rglob("*"):
            if path.is_file():
                server.replace(f"production/{path.relative_to(shop.root)}", path.read_bytes())
        yield server


@pytest.fixture(scope="module")
def core(shop: Shop, s3: S3) -> Iterator[Rig]:
    """Forecast and decision, found by their addresses."""
    with rig(shop, s3) as running:
        yield running


@pytest.fixture(scope="module")
def whole(shop: Shop, s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The same with a collector on PostgreSQL, found by names."""
    keys = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    environment = next(iter(PASSWORDS))
    keys.write_text(json.dumps(stored(KEY, "viewer", "controller", "sender", environment=environment)))
    with (
        postgresql() as server,
        nameserver(tmp_path_factory.mktemp("names")) as names,
        redis_server() as rates,
        rig(shop, s3, Platform(server.new_inbox(), names, rates, keys)) as running,
    ):
        yield running


def check(rig: Rig, broken: str, fault: str) -> None:
    """All asks at once while one thing is broken, then each until it is as ever."""
    asks = rig.asks()
    until_as_ever(asks["decision"])
    rig.faulty[broken].fault = fault
    try:
        with ThreadPoolExecutor(len(asks)) as pool:
            said = dict(zip(asks, pool.map(lambda ask: ask(), asks.values()), strict=True))
        rig.lives()
    finally:
        rig.faulty[broken].fault = None
    assert said == {ask: ROWS[broken, ask][1][fault] for ask in asks}
    for name in asks.keys() - {"new decision"}:
        until_as_ever(asks[name])


def test_the_page_has_every_cell() -> None:
    assert BROKEN == [STORE, INBOX, MLFLOW, BOTH, PROMETHEUS, RATES, FORECASTS, NAMES]
    asked = {"forecast", "live forecast", "reload", "decision", "new decision", "event"}
    assert ROWS.keys() == {(broken, ask) for broken in BROKEN for ask in asked}
    assert all(CELL.fullmatch(cell) for _, cells in ROWS.values() for cell in cells.values())
    assert {cell for broken in BROKEN for cell in ROWS[broken, "forecast"][1].values()} == {"as ever"}


@pytest.mark.parametrize(("broken", "fault"), CORE)
def test_a_fault_does_what_the_page_says(core: Rig, broken: str, fault: str) -> None:
    check(core, broken, fault)


@pytest.mark.system
@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        pytest.param(
            broken, fault, marks=[] if fault == DOWN or (broken, fault) in SHORT else pytest.mark.soak
        )
        for broken in BROKEN
        for fault in FAULTS
    ],
)
def test_every_fault_does_what_the_page_says(whole: Rig, broken: str, fault: str) -> None:
    check(whole, broken, fault)


@pytest.mark.system
def test_services_call_whom_the_page_says_and_nobody_else(whole: Rig) -> None:
    """Their sockets are looked at while everything that they ask is silent, so none is closed again."""
    asks = whole.asks()
    rested = time.monotonic() + 40
    while whole.callers()[RATES] != {
        "collector",
        "decision",
        "forecast",
    }:  # after a fault it is left alone for a while
        assert time.monotonic() < rested
        asks["forecast"]()
        asks["decision"]()
        asks["event"]()
        time.sleep(0.2)
    for link in whole.links.values():
        link.fault = HALF_OPEN
    with ThreadPoolExecutor(len(asks)) as pool:
        for ask in asks.values():
            pool.submit(ask)
        seen: dict[str, set[str]] = {name: set() for name in whole.links}
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:  # Redis is given up sooner
            for name, services in whole.callers().items():
                seen[name] |= services
        opened = {name: ", ".join(sorted(services)) or "nobody" for name, services in seen.items()}
        for link in whole.links.values():
            link.fault = None
    assert opened == {broken: ROWS[broken, "forecast"][0] for broken in opened}
    assert whole.links[MLFLOW].accepted == [], "not once, though its address is in their environment"


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as bound:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(ConnectionError):
                while data := connection.recv(100):
                    connection.sendall(data)

        def accept() -> None:
            while True:
                try:
                    connection, _ = bound.accept()
                except OSError:
                    return
                Thread(target=serve, args=(connection,), daemon=True).start()

        thread = Thread(target=accept)
        thread.start()
        yield bound.getsockname()[1]
        bound.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_link_breaks_as_it_is_told(echo: int) -> None:
    """The control of the rig."""

    def said(connection: socket.socket) -> bytes:
        connection.settimeout(0.3)
        connection.sendall(b"word")
        return connection.recv(100)

    with linked(echo, late_seconds=0.1) as link:
        address = ("127.0.0.1", link.port)
        with socket.create_connection(address) as kept:
            assert said(kept) == b"word"
            link.fault = SLOW
            began = time.monotonic()
            assert said(kept) == b"word"
            assert time.monotonic() - began >= 0.1
            link.fault = HALF_OPEN
            with socket.create_connection(address) as new:
                for connection in (kept, new):
                    with pytest.raises(TimeoutError):
                        said(connection)
        for fault, error in ((RESET, ConnectionError), (DOWN, ConnectionRefusedError)):
            link.fault = fault
            with pytest.raises(error), socket.create_connection(address) as connection:
                said(connection)
        link.fault = None
        with socket.create_connection(address) as connection:
            assert said(connection) == b"word"
