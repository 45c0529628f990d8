"""From what was sent to what is kept: each event judged alone, the good ones committed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import ValidationError

from apps.chassis.problems import Problem, invalid_fields, refused_field
from apps.collector.schemas import EventStatus
from ml.errors import BadEvents, IdConflict, StoreUnavailable
from ml.event_store import Inbox, Receipt
from ml.events import Event, check_not_future

SOURCE = "collector"


@dataclass(frozen=True)
class Refused:
    """A sent value that is not an event, with the answer it would get alone."""

    event_id: str | None
    problem: Problem


def judge(sent: Any, now: datetime, tolerance: timedelta) -> Event | Refused:
    """The event in one element of a batch, or why there is none."""
    try:
        event = Event.model_validate(sent)
        check_not_future(event, now, tolerance)
    except ValidationError as error:
        event_id = sent.get("event_id") if isinstance(sent, dict) else None
        return Refused(event_id if isinstance(event_id, str) else None, invalid_fields(error.errors()))
    except BadEvents as error:
        return Refused(event.event_id, refused_field("occurred_at", str(error)))
    return event


def statuses(judged: Sequence[Event | Refused], receipts: Sequence[Receipt]) -> list[EventStatus]:
    """One status per sent event in the order they were sent; `receipts` belong to the events among them."""
    remaining = iter(receipts)
    return [
        EventStatus(event_id=item.event_id, status="refused", reason=item.problem.detail)
        if isinstance(item, Refused)
        else _status(next(remaining))
        for item in judged
    ]


def _status(receipt: Receipt) -> EventStatus:
    reason = str(IdConflict(receipt.event_id)) if receipt.status == "conflict" else None
    return EventStatus(event_id=receipt.event_id, status=receipt.status, reason=reason)


class InboxWriter:
    """The inbox behind one thread at a time, opened at the first use and again after it failed.

    SQLite lets one writer in anyway; waiting here keeps the event loop and its other requests free.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path, self._create = path, create
        self._inbox: Inbox | None = None
        self._turn = CapacityLimiter(1)

    async def append(self, events: Sequence[Event]) -> list[Receipt]:
        """Receipts in the order of the events, which are on disk when this returns.

        Raises:
            StoreUnavailable: Nothing of `events` was kept.
        """
        return await run_sync(partial(self._append, events), limiter=self._turn)

    async def check(self) -> str | None:
        """None when the inbox answers, else why it does not."""
        try:
            await run_sync(lambda: self._opened().last_seq(), limiter=self._turn)
        except StoreUnavailable as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Wait for the write under way, then close the file."""
        await run_sync(self._drop, limiter=self._turn)

    def _append(self, events: Sequence[Event]) -> list[Receipt]:
        try:
            return self._opened().append(events, SOURCE)
        except StoreUnavailable:
            self._drop()
            raise

    def _opened(self) -> Inbox:
        if self._inbox is None:
            self._inbox = Inbox(self.path, create=self._create)
        return self._inbox

    def _drop(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None
