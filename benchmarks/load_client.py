"""A small HTTP/1.1 client over kept connections, for load: as fast as it goes, or at times fixed in advance.

In an open loop requests are due when the schedule says, whether answers come or not, and a latency counts from the
time a request was due, also where it had to wait for a free connection (Schroeder, Wierman and Harchol-Balter,
"Open versus closed: a cautionary tale", NSDI 2006; G. Tene calls the other way coordinated omission).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TIMER_SECONDS = 0.002

Seen = Callable[[int, int, bytes], None]
"""Told of each answer: number of the request, status, body."""


@dataclass
class Answers:
    """What came back, one value for each request in the order they were due.

    Attributes:
        due: Seconds after the start at which a request should leave.
        sent: At which it left.
        ended: At which its answer was whole; NaN without one.
        status: HTTP status, 0 where the connection ended first.
    """

    due: NDArray[np.float64]
    sent: NDArray[np.float64] = field(init=False)
    ended: NDArray[np.float64] = field(init=False)
    status: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.sent, self.ended = np.full((2, len(self.due)), np.nan)
        self.status = np.zeros(len(self.due), dtype=np.int64)

    @property
    def latency_seconds(self) -> NDArray[np.float64]:
        """From the time a request was due to the end of its answer."""
        return self.ended - self.due

    @property
    def errors(self) -> int:
        """Requests without a 2xx answer."""
        return int(np.sum(self.status // 100 != 2))  # noqa: PLR2004 - 2xx


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, done: Callable[["_Connection", int, bytes], None]) -> None:
        self._done, self._buffer, self._waits = done, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> None:
        self._waits = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = next(
            line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        if len(body) >= int(length):
            self._buffer, self._waits = b"", False
            self._done(self, int(head[9:12]), body)

    def connection_lost(self, _: Exception | None) -> None:
        if self._waits:
            self._waits = False
            self._done(self, 0, b"")

    @property
    def open(self) -> bool:
        return not self.transport.is_closing()


def request_bytes(path: str, body: bytes | None = None) -> bytes:
    """A GET of a path, or a POST of JSON."""
    if body is None:
        return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def poisson_times(rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Arrival times of independent callers, `rate` a second, sorted; the same for the same seed."""
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.exponential(1 / rate, int(rate * seconds * 1.2) + 50))
    return np.asarray(times[times < seconds])


class Load:
    """Sends requests when they are due, taken in turn from a list, and keeps what came back.

    With every connection busy a request waits, and its latency counts. Times that are all zero mean: as fast as
    the connections take them.
    """

    def __init__(
        self, port: int, requests: Sequence[bytes], due: NDArray[np.float64], seen: Seen | None
    ) -> None:
        self.port, self.requests, self.seen = port, requests, seen
        self.answers, self._left = Answers(due), len(due)
        self._free: deque[_Connection] = deque()
        self._under_way: dict[_Connection, int] = {}
        self._waiting: deque[int] = deque()
        self._all_there = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()
        self._began = 0.0

    async def run(self, connections: int) -> Answers:
        """Everything that was asked, once each answer is there or its connection has ended."""
        await asyncio.gather(*(self._open() for _ in range(connections)))
        self._began = time.perf_counter()
        for number, moment in enumerate(self.answers.due.tolist()):
            await self._until(moment)
            self._waiting.append(number)
            self._start_waiting()
        await self._all_there.wait()
        for connection in self._free:
            connection.transport.close()
        return self.answers

    async def _until(self, moment: float) -> None:
        wait = moment - self._now()
        if wait > TIMER_SECONDS:
            await asyncio.sleep(wait - TIMER_SECONDS)
        while self._now() < moment:  # noqa: ASYNC110 - timers come late, so the rest is waited for awake
            await asyncio.sleep(0)

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _start_waiting(self) -> None:
        while self._waiting and self._free:
            connection = self._free.popleft()
            if not connection.open:
                self._replace()
                continue
            number = self._waiting.popleft()
            self._under_way[connection] = number
            self.answers.sent[number] = self._now()
            connection.ask(self.requests[number % len(self.requests)])

    def _done(self, connection: _Connection, status: int, body: bytes) -> None:
        number = self._under_way.pop(connection)
        self.answers.status[number] = status
        if status:
            self.answers.ended[number] = self._now()
        if self.seen is not None:
            self.seen(number, status, body)
        self._left -= 1
        if not self._left:
            self._all_there.set()
        self._free.append(connection)
        self._start_waiting()

    def _replace(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self._done), "127.0.0.1", self.port)
        self._free.append(connection)
        self._start_waiting()


async def ask_at(
    port: int,
    requests: Sequence[bytes],
    due: NDArray[np.float64],
    *,
    connections: int = 64,
    seen: Seen | None = None,
) -> Answers:
    """Answers to requests on this machine that leave `due` seconds after the start, sorted."""
    return await Load(port, requests, due, seen).run(connections)
