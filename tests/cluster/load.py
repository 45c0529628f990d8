"""Fifty requests a second to one address, each sent when it is due, and every failure counted.

    python -m tests.cluster.load URL --rate 50

Half of the requests open a connection of their own, half reuse kept ones. A request leaves at its time however
many are still unanswered, and none is tried again. A kept connection is used as any HTTP/1.1 client may use it: not
after the server has closed it or has asked to (`Connection: close`). It runs until its standard input ends
and prints one JSON object.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from tests.cluster.keys import HEADERS

TIMEOUT_SECONDS = 5.0
_SHOWN = 20


class Failure(Exception):
    """A request that did not end in an answer with status 200; the text says how."""


@dataclass
class Connection:
    """One connection to the address, which answers one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, address: SplitResult) -> Self:
        """Connect anew."""
        return cls(*await asyncio.open_connection(address.hostname, address.port))

    @property
    def open_(self) -> bool:
        """Whether the server has not closed it, as far as this side has heard."""
        return not (self.reader.at_eof() or self.writer.is_closing())

    async def ask(self, address: SplitResult, *, keep: bool) -> tuple[str, bool]:
        """The model version of the answer, and whether the connection may be used again."""
        kept = "keep-alive" if keep else "close"
        target = f"{address.path}?{address.query}"
        shown = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        lines = f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n{shown}Connection: {kept}\r\n\r\n"
        self.writer.write(lines.encode())
        await self.writer.drain()
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status, _, rest = head.partition("\r\n")
        headers = dict(line.split(": ", 1) for line in rest.splitlines() if ": " in line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        if " 200 " not in status:
            raise Failure(f"{status.strip()}: {body[:200].decode(errors='replace')}")
        return headers["x-model-version"], keep and headers.get("connection") != "close"

    def close(self) -> None:
        """End it without waiting."""
        self.writer.close()


@dataclass
class Seen:
    """What came of the requests so far."""

    requests: int = 0
    answered: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)


class Load:
    """The requests, their connections and what came of them."""

    def __init__(self, url: str, rate: float) -> None:
        self.address, self.rate, self.seen = urlsplit(url), rate, Seen()
        self._idle: deque[Connection] = deque()

    async def run(self, stop: asyncio.Event) -> None:
        """Send each request when it is due until told to stop, then wait for the last answers."""
        start, running = time.monotonic(), set[asyncio.Task[None]]()
        while not stop.is_set():
            due = start + self.seen.requests / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.seen.late.append(time.monotonic() - due)
            task = asyncio.create_task(self._one(keep=self.seen.requests % 2 == 0))
            self.seen.requests += 1
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)

    def close(self) -> None:
        """End the connections that were kept."""
        while self._idle:
            self._idle.pop().close()

    async def _one(self, *, keep: bool) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                version = await (self._kept() if keep else self._fresh())
            self.seen.versions[version] += 1
            self.seen.answered += 1
            self.seen.seconds.append(time.monotonic() - began)
        except (Failure, OSError, EOFError, TimeoutError, ValueError, KeyError) as error:
            failure = {"at": round(time.time(), 3), "kept": keep, "error": f"{type(error).__name__}: {error}"}
            self.seen.failures.append(failure)

    async def _fresh(self) -> str:
        connection = await Connection.open(self.address)
        try:
            return (await connection.ask(self.address, keep=False))[0]
        finally:
            connection.close()

    async def _kept(self) -> str:
        """Over the connection that has been idle longest, or a new one when none is idle."""
        while self._idle:
            connection = self._idle.popleft()
            if connection.open_:
                break
            connection.close()
        else:
            connection = await Connection.open(self.address)
        try:
            version, reusable = await connection.ask(self.address, keep=True)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection) if reusable else connection.close()
        return version

    def report(self) -> dict[str, Any]:
        """Counts, latency and lateness in milliseconds, and the first failures."""
        seen = self.seen
        return {
            "requests": seen.requests,
            "answered": seen.answered,
            "failed": len(seen.failures),
            "versions": dict(seen.versions),
            "milliseconds": _percentiles(seen.seconds),
            "late_milliseconds": _percentiles(seen.late),
            "failures": seen.failures[:_SHOWN],
        }


@contextmanager
def load(url: str, rate: float = 50) -> Iterator[dict[str, Any]]:
    """A process that loads the address until the context ends; the dictionary then holds its report."""
    report: dict[str, Any] = {}
    command = [sys.executable, "-m", "tests.cluster.load", url, "--rate", str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield report
        finally:
            out, _ = process.communicate(timeout=60)
            report.update(json.loads(out))


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(1000 * ordered[int(share * (len(ordered) - 1))], 1) for name, share in shares.items()}


async def _main(url: str, rate: float) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: stop.set() if not sys.stdin.read(1) else None)
    made = Load(url, rate)
    await made.run(stop)
    made.close()
    json.dump(made.report(), sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=50)
    options = parser.parse_args()
    asyncio.run(_main(options.url, options.rate))
