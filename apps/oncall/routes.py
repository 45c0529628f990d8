"""The routes of the on-call service: alarms in, incidents out, and what people do with them."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import PlainTextResponse

from apps.chassis.access import CONTROLLER, READER, GuardedRoute
from apps.chassis.refusals import refusal
from apps.oncall import dead_man, trail, views
from apps.oncall.access import ALERT_SENDER
from apps.oncall.book import Book
from apps.oncall.incidents import Incidents
from apps.oncall.schemas import (
    Action,
    IncidentDetail,
    Note,
    OnCall,
    SentGroup,
    Severity,
    Status,
    Taken,
)
from apps.oncall.schemas import Incidents as Page

MOST = 2**53
Number = Annotated[int, Path(ge=1, le=MOST)]
Change = Callable[[Incidents, int, str, str], None]
Once = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
"""A request that came before with the same key, about the same incident, is answered and changes nothing."""


def alerts_router(book: Book) -> APIRouter:
    """Alertmanager's receivers; 200 means that it is on disk."""
    router = APIRouter(prefix="/alerts", dependencies=[ALERT_SENDER], route_class=GuardedRoute)

    @router.post("/heartbeat")
    def heartbeat(group: SentGroup) -> Taken:
        """Alertmanager is there, and whoever feeds it; silence pages."""
        with book.database.writing() as connection:
            if any(alert.status == "firing" for alert in group.alerts):
                dead_man.heard(book.incidents(connection))
        return Taken(incident=None)

    @router.post("/{severity}")
    def alerts(severity: Literal["page", "ticket"], group: SentGroup) -> Taken:
        """Take a notification, the same one any number of times."""
        with book.database.writing() as connection:
            number = book.incidents(connection).take(severity, group)
        return Taken(incident=number)

    return router


def reading_router(book: Book) -> APIRouter:
    """What readers see."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)

    @router.get("/incidents")
    def incidents(
        status: Status | None = None,
        severity: Severity | None = None,
        before: Annotated[int | None, Query(ge=1, le=MOST)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Page:
        """Incidents, newest first."""
        with book.database.reading() as connection:
            return views.listed(
                connection,
                book.rota.current(),
                status=status,
                severity=severity,
                before=before,
                limit=limit,
            )

    @router.get("/incidents/{number}")
    def incident(number: Number) -> IncidentDetail:
        """One incident with its alerts, notifications and trail."""
        with book.database.reading() as connection:
            row = book.incidents(connection).row(number)
            return views.detail(connection, book.rota.current(), row)

    @router.get("/on-call")
    def on_call() -> OnCall:
        """Who would hear of an incident that begins now."""
        return views.responsible(book.rota.current(), book.clock)

    @router.get("/trail", response_class=PlainTextResponse)
    def export(
        after: Annotated[int, Query(ge=0, le=MOST)] = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    ) -> PlainTextResponse:
        """Entries of the audit trail after a number, a line each, for `python -m apps.oncall verify`."""
        with book.database.reading() as connection:
            lines = trail.exported(connection, after, limit)
        return PlainTextResponse("".join(f"{line}\n" for line in lines), media_type="application/x-ndjson")

    return router


def acting_router(book: Book) -> APIRouter:
    """What people do."""
    router = APIRouter(dependencies=[CONTROLLER], route_class=GuardedRoute)

    def change(
        request: Request, number: int, action: Action, once: str | None, done: Change
    ) -> IncidentDetail:
        caller = str(request.scope.get("caller"))
        who = caller if action.by is None else f"{action.by} by way of {caller}"
        with book.database.writing() as connection:
            incidents = book.incidents(connection, once)
            if not incidents.was_done(number):
                done(incidents, number, who, action.note)
            return views.detail(connection, incidents.rota, incidents.row(number))

    def add(verb: str, done: Change, meaning: str) -> None:
        def act(request: Request, number: Number, action: Action, once: Once = None) -> IncidentDetail:
            return change(request, number, action, once, done)

        router.add_api_route(
            f"/incidents/{{number}}/{verb}",
            act,
            name=verb,
            methods=["POST"],
            description=meaning,
            responses=refusal(HTTPStatus.CONFLICT),
        )

    add("acknowledge", Incidents.acknowledge, "Stop the escalation; a second time changes nothing.")
    add("escalate", Incidents.escalate, "Tell the next level now.")
    add("resolve", Incidents.resolve, "End the incident; a second time changes nothing.")

    @router.post("/incidents/{number}/notes")
    def note(request: Request, number: Number, note: Note, once: Once = None) -> IncidentDetail:
        """Add a note, also to an incident that is resolved."""
        return change(request, number, note, once, Incidents.note)

    return router
