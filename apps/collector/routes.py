"""The one route of the collector."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import prometheus_client
from fastapi import APIRouter

from apps.chassis.access import KEY_HOLDER
from apps.collector.inbox_writer import InboxWriter
from apps.collector.intake import Refused, judge_all, statuses
from apps.collector.schemas import Acknowledgement, EventStatus, Sent
from apps.collector.settings import CollectorSettings
from ml.errors import IdConflict
from ml.events import Event


def events_router(
    inbox: InboxWriter, settings: CollectorSettings, counted: prometheus_client.Counter
) -> APIRouter:
    """`POST /events` into `inbox`; `counted` has the label `status`."""
    router = APIRouter()
    tolerance = timedelta(seconds=settings.future_tolerance_seconds)

    async def keep(judged: Sequence[Event | Refused]) -> list[EventStatus]:
        events = [item for item in judged if isinstance(item, Event)]
        kept = statuses(judged, await inbox.append(events) if events else [])
        for status, count in Counter(item.status for item in kept).items():
            counted.labels(status).inc(count)
        return kept

    @router.post("/events", status_code=HTTPStatus.ACCEPTED, dependencies=[KEY_HOLDER])
    async def post_events(sent: Sent) -> Acknowledgement:
        """Take one event, or a batch of up to 1,000 as an array.

        202 means that every event marked `accepted` or `duplicate` is on disk. In a batch a bad event is
        marked and the others go in; a single bad event is answered with 409 or 422.
        """
        now = datetime.now(UTC)
        each = sent if isinstance(sent, list) else [sent]
        inbox.require_room(len(each))
        judged = await judge_all(each, now, tolerance)
        kept = await keep(judged)
        if isinstance(sent, Event):
            refuse_alone(judged[0], kept[0])
        return Acknowledgement(events=kept)

    return router


def refuse_alone(judged: Event | Refused, status: EventStatus) -> None:
    """Nothing for an event that was kept.

    Raises:
        Problem: The event breaks the contract.
        IdConflict: Its id belongs to an event with other content.
    """
    if isinstance(judged, Refused):
        raise judged.problem
    if status.status == "conflict":
        raise IdConflict(judged.event_id)
