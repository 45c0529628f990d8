"""A service as a process: how it starts, hands its port on and ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import httpx
import pytest

from tests.apps.process import listener, running

MODULE = "tests.apps.chassis.demo"


def status(port: int) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


def test_sigterm_lets_a_running_request_finish_and_ends_with_zero() -> None:
    with listener() as bound, running(MODULE, {"DEMO_DRAIN_SECONDS": "0.5"}, bound) as process:
        connection = HTTPConnection("127.0.0.1", process.port, timeout=20)
        connection.request("GET", "/health")
        connection.getresponse().read()
        connection.request("GET", "/items/slow")
        time.sleep(0.1)
        process.popen.send_signal(signal.SIGTERM)
        assert connection.getresponse().read() == b'{"item":"slow"}'
        connection.close()
        code, output, errors = process.ended()
    assert (code, errors) == (0, "")
    assert '"route": "/items/{item_id}"' in output


def test_the_end_of_the_parent_ends_the_process_in_order() -> None:
    with listener() as bound, running(MODULE, {}, bound) as process:
        assert status(process.port) == 200
        process.lose_parent()
        code, output, errors = process.ended()
    assert (code, errors) == (0, "")
    assert "Application shutdown complete" in output


def test_a_port_passes_from_process_to_process_without_a_lost_request() -> None:
    statuses: list[int] = []
    stop = threading.Event()

    def ask(port: int) -> None:
        while not stop.is_set():
            statuses.append(status(port))

    with listener() as bound, running(MODULE, {}, bound) as old, ThreadPoolExecutor() as pool:
        callers = [pool.submit(ask, old.port) for _ in range(3)]
        try:
            with running(MODULE, {}, bound) as new:
                old.popen.send_signal(signal.SIGTERM)
                assert old.ended()[0] == 0
                before = len(statuses)
                time.sleep(0.5)
                stop.set()
                for caller in callers:
                    caller.result()
                assert '"route": "/health"' in _log(new.files[0])
        finally:
            stop.set()
    assert len(statuses) > before > 20
    assert set(statuses) == {200}


def _log(file: object) -> str:
    return os.pread(file.fileno(), 1_000_000, 0).decode()  # type: ignore[attr-defined]


def test_a_process_that_is_not_ready_never_takes_a_handed_port() -> None:
    with listener() as bound, running(MODULE, {"DEMO_MISSING": "the model"}, bound) as process:
        assert process.readiness == {
            "ready": False,
            "checks": {"demo": {"ready": False, "detail": "the model is missing"}},
        }
        code, _, _ = process.ended()
    assert code == 70


def test_without_a_supervisor_a_process_that_is_not_ready_stays_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "DEMO_PORT": str(port), "DEMO_MISSING": "the model"}
    with subprocess.Popen(
        [sys.executable, "-m", MODULE], env=environment, stdout=subprocess.DEVNULL
    ) as popen:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    assert httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 503
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            assert status(port) == 200
        finally:
            popen.terminate()


def test_a_keep_alive_connection_is_answered_and_closed_while_draining() -> None:
    with listener() as bound, running(MODULE, {"DEMO_DRAIN_SECONDS": "1"}, bound) as process:
        with httpx.Client(base_url=process.url) as client:
            assert "connection" not in client.get("/health").headers
            process.popen.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            answer = client.get("/health")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert process.ended()[0] == 0


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-m", MODULE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_a_taken_port_is_one_sentence_and_exit_code_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = start(DEMO_PORT=port)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"cannot listen on 127.0.0.1 port {port} (Address already in use); choose another with DEMO_PORT\n"
    )


@pytest.mark.parametrize("port", ["http", "70000"])
def test_a_wrong_setting_is_one_sentence_and_exit_code_one(port: str) -> None:
    ended = start(DEMO_PORT=port)
    assert ended.returncode == 1
    assert ended.stderr.startswith("DEMO_PORT is wrong")
    assert ended.stderr.count("\n") == 1
