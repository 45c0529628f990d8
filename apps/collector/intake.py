"""From what was sent to what is kept: each event judged alone, the good ones committed together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import ValidationError

from apps.chassis.problems import invalid_fields, refused_field
from apps.collector.formats import Refused
from apps.collector.schemas import EventStatus
from ml.errors import BadEvents, IdConflict, StoreUnavailable
from ml.event_store import Receipt, Row, row_of
from ml.events import Event, check_not_future
from ml.pseudonym import PERSONAL, pseudonyms

HIDDEN = "not shown"
INLINE_EVENTS = 16
SHOWN_FIELDS = frozenset(Event.model_fields) - frozenset(PERSONAL)
"""Fields whose refused values a reason may show; others may hold what names a person."""


@dataclass(frozen=True)
class Judge:
    """Decides what of a request is an event, and hides whose it is.

    Attributes:
        now: When the request came.
        tolerance: How far a sender's clock may run ahead.
        key: Makes pseudonyms.
        source: Who sent it.
    """

    now: datetime
    tolerance: timedelta
    key: bytes
    source: str

    def __call__(self, sent: Any) -> Row | Refused:
        """The event in one element of a request as it is stored, or why there is none."""
        if isinstance(sent, Refused):
            return sent
        try:
            event = Event.model_validate(sent)
            check_not_future(event, self.now, self.tolerance)
        except ValidationError as error:
            event_id = sent.get("event_id") if isinstance(sent, dict) else None
            return Refused(
                event_id if isinstance(event_id, str) else None,
                invalid_fields([_discreet(each) for each in error.errors()]),
            )
        except BadEvents as error:
            return Refused(event.event_id, refused_field("occurred_at", str(error)))
        return row_of({**event.__dict__, **pseudonyms(event, self.key)}, self.source)


def _discreet(error: Any) -> dict[str, Any]:
    """An error of pydantic without a value that may name a person: of a missing field it is the whole event."""
    field = error["loc"][0] if error["loc"] else None
    harmless = error["type"] != "missing" and field in SHOWN_FIELDS
    return error if harmless else {**error, "input": HIDDEN}


async def judge_all(
    sent: Sequence[Any], judge: Judge, turn: CapacityLimiter, deadline: float
) -> list[Row | Refused]:
    """Each element of a batch, in the order they were sent; many in a thread, so that other requests go on.

    Args:
        sent: The elements.
        judge: Decides on each.
        turn: Batches take it in turn: side by side they would only share the interpreter.
        deadline: When to give up waiting, on the clock of the running loop.

    Raises:
        StoreUnavailable: The turn did not come in time.
    """
    if len(sent) <= INLINE_EVENTS:
        return [judge(item) for item in sent]
    try:
        async with asyncio.timeout_at(deadline):
            return await run_sync(lambda: [judge(item) for item in sent], limiter=turn)
    except TimeoutError:
        raise StoreUnavailable("too many batches wait to be read; none of these events were kept") from None


def statuses(judged: Sequence[Row | Refused], receipts: Sequence[Receipt]) -> list[EventStatus]:
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
