"""The routes of the collector: events in, and the script that a shop's pages send them with."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import prometheus_client
from anyio import CapacityLimiter
from fastapi import APIRouter, Request
from starlette.responses import Response

from apps.chassis.access import ANYONE, EVENT_SENDER
from apps.chassis.keys import StoredKey
from apps.collector.formats import Refused, read
from apps.collector.inbox_writer import InboxWriter
from apps.collector.intake import Judge, judge_all, statuses
from apps.collector.schemas import ANSWERS, REQUEST_BODY, Acknowledgement, EventStatus
from apps.collector.settings import CollectorSettings
from ml.errors import IdConflict
from ml.event_store import Row

EVENTS_PATH = "/events"
SCRIPT = Path(__file__).with_name("collector.js")
SCRIPT_SECONDS = 3600


def events_router(
    inbox: InboxWriter, settings: CollectorSettings, counted: prometheus_client.Counter
) -> APIRouter:
    """`POST /events` into `inbox`; `counted` has the label `status`."""
    router = APIRouter()
    tolerance = timedelta(seconds=settings.future_tolerance_seconds)
    pseudonym_key, turn = settings.pseudonym_secret(), CapacityLimiter(1)

    async def keep(judged: Sequence[Row | Refused], deadline: float) -> list[EventStatus]:
        rows = [item for item in judged if isinstance(item, Row)]
        kept = statuses(judged, await inbox.append(rows, deadline) if rows else [])
        for status, count in Counter(item.status for item in kept).items():
            counted.labels(status).inc(count)
        return kept

    @router.post(
        EVENTS_PATH,
        status_code=HTTPStatus.ACCEPTED,
        dependencies=[EVENT_SENDER],
        responses=ANSWERS,
        openapi_extra={"requestBody": REQUEST_BODY},
    )
    async def post_events(request: Request) -> Acknowledgement:
        """Take one event, or a batch of up to 1,000 as an array, as lines or as CloudEvents.

        202 means that every event marked `accepted` or `duplicate` is on disk. In a batch a bad event is
        marked and the others go in; a single bad event is answered with 409 or 422.
        """
        sent = await read(request)
        deadline = inbox.deadline()
        inbox.require_room(len(sent.elements))
        key: StoredKey = request.state.key
        judge = Judge(datetime.now(UTC), tolerance, pseudonym_key, key.source)
        judged = await judge_all(sent.elements, judge, turn, deadline)
        kept = await keep(judged, deadline)
        if sent.alone:
            refuse_alone(judged[0], kept[0])
        return Acknowledgement(events=kept)

    return router


def script_router() -> APIRouter:
    """`GET /collector.js`, for pages of any origin, kept by browsers for an hour."""
    router = APIRouter()
    script = SCRIPT.read_bytes()
    headers = {
        "ETag": f'"{sha256(script).hexdigest()[:32]}"',
        "Cache-Control": f"public, max-age={SCRIPT_SECONDS}",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }

    @router.get("/collector.js", dependencies=[ANYONE], response_class=Response)
    async def collector_js(request: Request) -> Response:
        """The script that sends a page's events, once their person agreed."""
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(script, media_type="text/javascript", headers=headers)

    return router


def refuse_alone(judged: Row | Refused, status: EventStatus) -> None:
    """Nothing for an event that was kept.

    Raises:
        Problem: The event breaks the contract.
        IdConflict: Its id belongs to an event with other content.
    """
    if isinstance(judged, Refused):
        raise judged.problem
    if status.status == "conflict":
        raise IdConflict(judged.event_id)
