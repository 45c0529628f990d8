"""The last answer to every question that pages ask.

A page waits a moment for fresh answers, the same moment for all of them together, and then shows the last one with its
age. What nobody waited for goes on, so its answer is there for the next page.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, Self, TypeVar

log = logging.getLogger(__name__)

MOST_KEPT = 256
LATE = "no answer in time"

Value = TypeVar("Value")
Question = Callable[[], Awaitable[Value]]

_page_began: ContextVar[float] = ContextVar("page_began")
"""When the page of this request began, by the monotonic clock; its patience counts from there."""


def begin_page() -> None:
    """From here on a page has all its patience."""
    _page_began.set(time.monotonic())


class Unanswered(Exception):
    """A question has no answer; the text says why."""


@dataclass(frozen=True)
class Kept(Generic[Value]):
    """The last answer to a question, when it came, and why there is no newer one."""

    value: Value | None = None
    at: datetime | None = None
    problem: str | None = None

    @property
    def is_aged(self) -> bool:
        """Whether it is the last answer because there is no newer one."""
        return self.at is not None and self.problem is not None

    @classmethod
    def now(cls, value: Value) -> Self:
        """What is known after an answer."""
        return cls(value, datetime.now(UTC))

    def without(self, problem: str) -> Self:
        """What is known after none came."""
        return replace(self, problem=problem)


@dataclass
class _Entry:
    kept: Kept[Any] = field(default_factory=Kept)
    task: asyncio.Task[None] | None = None


class Memory:
    """Answers by name of their question, those that were used last; each question is under way once at a time.

    Args:
        page_seconds: Longest that a page waits, for all its questions together.
        most: How many answers are kept.
    """

    def __init__(self, page_seconds: float, most: int = MOST_KEPT) -> None:
        self._page_seconds, self._most = page_seconds, most
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    async def ask(self, name: Hashable, question: Question[Value]) -> Kept[Value]:
        """A fresh answer where it comes while the page still waits, else the last one.

        Args:
            name: The same for the same question.
            question: Raises `Unanswered` where there is no answer.
        """
        entry = self._entry(name)
        task = self._under_way(entry, question)
        await asyncio.wait({task}, timeout=self._left())
        if task.done():
            task.result()
            return entry.kept
        return entry.kept.without(entry.kept.problem or LATE)

    async def last(self, name: Hashable) -> Kept[Any]:
        """The last answer to what `keep` asks; only the first is waited for."""
        entry = self._entry(name)
        if entry.kept == Kept() and entry.task is not None:
            await asyncio.wait({entry.task}, timeout=self._left())
        return entry.kept

    def peek(self, name: Hashable) -> Kept[Any]:
        """The last answer, without waiting for any."""
        return self._entry(name).kept

    async def keep(self, name: Hashable, question: Question[Any], seconds: float) -> None:
        """Ask again and again until it is cancelled; what breaks is logged and asked again."""
        while True:
            entry = self._entry(name)
            try:
                await asyncio.shield(self._under_way(entry, question))
            except Exception as error:
                entry.kept = entry.kept.without(type(error).__name__)
                log.exception("question", extra={"question": name})
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """End what is under way."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _entry(self, name: Hashable) -> _Entry:
        entry = self._entries.setdefault(name, _Entry())
        self._entries.move_to_end(name)
        if len(self._entries) > self._most:
            oldest = next(iter(self._entries.values()))
            if oldest.task is None or oldest.task.done():
                self._entries.popitem(last=False)
        return entry

    def _under_way(self, entry: _Entry, question: Question[Any]) -> asyncio.Task[None]:
        if entry.task is None or entry.task.done():
            entry.task = asyncio.create_task(_answer(entry, question))
        return entry.task

    def _left(self) -> float:
        now = time.monotonic()
        return max(0.0, _page_began.get(now) + self._page_seconds - now)


async def _answer(entry: _Entry, question: Question[Any]) -> None:
    try:
        entry.kept = Kept.now(await question())
    except Unanswered as error:
        entry.kept = entry.kept.without(str(error))
