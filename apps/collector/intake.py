"""From what was sent to what is kept: each event judged alone, the good ones committed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anyio.to_thread import run_sync
from pydantic import ValidationError

from apps.chassis.problems import Problem, invalid_fields, refused_field
from apps.collector.schemas import EventStatus
from ml.errors import BadEvents, IdConflict
from ml.event_store import Receipt
from ml.events import Event, check_not_future

_INLINE_EVENTS = 16  # more are judged in a thread, so that other requests go on


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


async def judge_all(sent: Sequence[Any], now: datetime, tolerance: timedelta) -> list[Event | Refused]:
    """Each element of a batch, in the order they were sent."""

    def each() -> list[Event | Refused]:
        return [judge(item, now, tolerance) for item in sent]

    return each() if len(sent) <= _INLINE_EVENTS else await run_sync(each)


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
