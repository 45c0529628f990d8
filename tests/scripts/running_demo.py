"""Starts the demo as `make demo` does, on ports of its own and in a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from scripts.demo.__main__ import PORTS

ROOT = Path(__file__).parents[2]
UP = "every step did what it says"


def free_offset() -> int:
    """An offset at which every port of the demo is free; differs between test processes."""
    start = 1_000 + (os.getpid() * 37) % 20_000
    for offset in range(start, start + 20_000, 11):
        if all(_free(port + offset) for port in PORTS.values()):
            return offset
    raise AssertionError("no free ports")


class RunningDemo:
    """A demo process; `output()` is what it printed so far."""

    def __init__(self, state: Path, *options: str, offset: int | None = None) -> None:
        self.offset = free_offset() if offset is None else offset
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        self._log = state / "demo.log"
        command = [
            sys.executable,
            "-m",
            "scripts.demo",
            "--state",
            str(state),
            "--port-offset",
            str(self.offset),
        ]
        with self._log.open("ab") as log:
            self._start = log.tell()
            self.process = subprocess.Popen(
                [*command, *options], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def output(self) -> str:
        """Everything this process printed."""
        return self._log.read_bytes()[self._start :].decode(errors="replace")

    def port(self, service: str) -> int:
        """Where a service of this demo listens."""
        return PORTS[service] + self.offset

    def wait_for(self, text: str, timeout_seconds: float = 400) -> None:
        """Until the demo printed a text."""
        deadline = time.monotonic() + timeout_seconds
        while text not in self.output():
            assert self.process.poll() is None or text in self.output(), self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.1)

    def wait(self, timeout_seconds: float = 400) -> int:
        """The exit code."""
        return self.process.wait(timeout_seconds)

    def kill(self) -> None:
        """`kill -9` of the demo itself; what it started must notice."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code as a shell tells it."""
        self.process.send_signal(signal.SIGINT)
        return as_a_shell_tells_it(self.wait(60))


def as_a_shell_tells_it(code: int) -> int:
    """128 and the signal's number where a signal ended the process.

    CPython ends by SIGINT after its last line where that had interrupted the `exec` of a string, caught or not.
    """
    return 128 - code if code < 0 else code


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
