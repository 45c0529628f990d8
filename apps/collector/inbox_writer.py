"""Requests on their way into the inbox: few, in turn, many in one commit, none longer than its deadline."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from ml.errors import StoreUnavailable
from ml.event_store import EventStore, Receipt, Row

GROUP_EVENTS = 2000
"""A commit takes the requests that wait, until it has this many events."""


@dataclass(frozen=True)
class Limits:
    """What may wait for the inbox; one request more is refused at once.

    Attributes:
        events: Of all waiting requests together, those being written included.
        bytes: Of their JSON; the last one that comes in below may end above.
        seconds: Until one request is answered.
    """

    events: int = 10_000
    bytes: int = 8 * 1024 * 1024
    seconds: float = 10.0


@dataclass(eq=False)
class _Request:
    rows: Sequence[Row]
    answer: asyncio.Future[list[Receipt]]
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes = sum(len(row.body) for row in self.rows)


class InboxWriter:
    """The inbox behind one thread, opened at the first use and again after it failed.

    A store lets one writer in at a time anyway. Requests that arrive during a commit share the next one, so a
    slow disk costs each of them one commit and not one per request before it.

    Args:
        open_store: Opens the inbox; called in the thread.
        limits: What may wait.
    """

    def __init__(self, open_store: Callable[[], EventStore], limits: Limits) -> None:
        self._open_store, self._limits = open_store, limits
        self._store: EventStore | None = None
        self._waiting: deque[_Request] = deque()
        self._events = self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._turn = CapacityLimiter(1)

    def deadline(self) -> float:
        """By when a request that comes now is answered, on the clock of the running loop."""
        return asyncio.get_running_loop().time() + self._limits.seconds

    async def append(self, rows: Sequence[Row], deadline: float | None = None) -> list[Receipt]:
        """Receipts in the order of the rows, which are on disk when this returns.

        Args:
            rows: What one request brought.
            deadline: When to give up; by default that of a request that comes now.

        Raises:
            StoreUnavailable: Too much waits, the deadline passed or the store failed. Nothing of `rows` was
                kept, unless the text says that this is not known; sending again is safe in any case.
        """
        request = _Request(rows, asyncio.get_running_loop().create_future())
        self._admit(request)
        try:
            async with asyncio.timeout_at(self.deadline() if deadline is None else deadline):
                return await request.answer
        except TimeoutError:
            raise StoreUnavailable(self._late(request)) from None
        finally:
            self._withdraw(request)

    def require_room(self, events: int) -> None:
        """Pass when a request of so many events may wait; asked before the work of judging them.

        Raises:
            StoreUnavailable: Too much waits already.
        """
        if self._events and (self._events + events > self._limits.events or self._bytes > self._limits.bytes):
            raise StoreUnavailable(
                f"{self._events} events ({self._bytes} bytes) already wait for the inbox; none of these were kept,"
                " send them again later"
            )

    async def check(self) -> str | None:
        """None when the inbox takes writes, else why it does not; nothing is written."""
        try:
            await self.append([])
        except StoreUnavailable as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Wait for the commit under way, as long as for any, then close the inbox."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=self._limits.seconds)
            self._writing.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await run_sync(self._drop, limiter=self._turn, abandon_on_cancel=True)

    def _admit(self, request: _Request) -> None:
        if request.rows:
            self.require_room(len(request.rows))
        self._events += len(request.rows)
        self._bytes += request.bytes
        self._waiting.append(request)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    def _withdraw(self, request: _Request) -> None:
        """Take a request that nobody waits for any more out of those that wait."""
        if request in self._waiting:
            self._waiting.remove(request)
            self._forget([request])

    def _forget(self, requests: Sequence[_Request]) -> None:
        self._events -= sum(len(request.rows) for request in requests)
        self._bytes -= sum(request.bytes for request in requests)

    def _late(self, request: _Request) -> str:
        fate = (
            "none of these events were kept"
            if request in self._waiting
            else "whether these events were kept is not known; what was kept is a duplicate when it is sent again"
        )
        return f"the inbox did not answer within {self._limits.seconds:g} s; {fate}"

    async def _write(self) -> None:
        """One commit after the other, while requests wait."""
        while self._waiting:
            group = self._next_group()
            try:
                rows = [row for request in group for row in request.rows]
                receipts = await run_sync(
                    partial(self._keep, rows), limiter=self._turn, abandon_on_cancel=True
                )
            except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
                self._fail(group, error)
            else:
                self._answer(group, receipts)
            finally:
                self._forget(group)

    def _next_group(self) -> list[_Request]:
        group = [self._waiting.popleft()]
        events = len(group[0].rows)
        while self._waiting and events + len(self._waiting[0].rows) <= GROUP_EVENTS:
            group.append(self._waiting.popleft())
            events += len(group[-1].rows)
        return group

    @staticmethod
    def _answer(group: Sequence[_Request], receipts: Sequence[Receipt]) -> None:
        start = 0
        for request in group:
            end = start + len(request.rows)
            if not request.answer.done():
                request.answer.set_result(list(receipts[start:end]))
            start = end

    @staticmethod
    def _fail(group: Sequence[_Request], error: Exception) -> None:
        for request in group:
            if not request.answer.done():
                own = StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else error
                request.answer.set_exception(own)

    def _keep(self, rows: Sequence[Row]) -> list[Receipt]:
        try:
            if self._store is None:
                self._store = self._open_store()
            return self._store.keep(rows)
        except StoreUnavailable:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
