"""The page of alarms: what is wrong now, who was told, the runbook beside it, and what a controller does about it."""

import asyncio
import re
from datetime import datetime
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from apps.chassis.access import CONTROLLER, READER
from apps.chassis.problems import Problem
from apps.console.pages import Pages
from apps.console.services import Answer, Services
from apps.console.sign_in import PageRoute
from apps.oncall.schemas import Action, IncidentDetail, Incidents, OnCall

SHOWN: Final = 50
MOST_CHARACTERS: Final = 1_000
"""Of a note."""
ACTIONS: Final = frozenset({"acknowledge", "escalate", "notes", "resolve"})
"""What the on-call service does with an incident, by the last part of its path."""
NO_NOTE: Final = Answer[IncidentDetail](None, HTTPStatus.UNPROCESSABLE_ENTITY, None)

Number = Annotated[int, Path(ge=1, le=2**53)]
_ONCE: Final = re.compile(r"[\w-]{1,100}", re.ASCII)


def link(address: str | None) -> str | None:
    """An address that a page may link to; labels and annotations come from outside."""
    return address if address and urlsplit(address).scheme in {"http", "https"} else None


def alarms_router(services: Services, pages: Pages) -> APIRouter:
    """Alarms, and one of them; both only read."""
    router = APIRouter(
        prefix="/alarms", dependencies=[READER], route_class=PageRoute, default_response_class=HTMLResponse
    )

    @router.get("")
    async def alarms(request: Request) -> HTMLResponse:
        """The newest incidents, and who is on call."""
        found, on_call = await asyncio.gather(
            services.get("oncall", "/incidents", Incidents, {"limit": SHOWN}),
            services.get("oncall", "/on-call", OnCall),
        )
        incidents = found.value.incidents if found.value else []
        return pages.render(
            request,
            "alarms.html",
            {
                "page": "alarms",
                "found": found,
                "on_call": on_call.value.responsible if on_call.value else [],
                "unresolved": [each for each in incidents if each.status != "resolved"],
                "resolved": [each for each in incidents if each.status == "resolved"],
                "link": link,
            },
        )

    @router.get("/{number}")
    async def alarm(request: Request, number: Number) -> HTMLResponse:
        """One incident: its alerts, who was told, and what was done."""
        return await _alarm(services, pages, request, number)

    return router


def acting_router(services: Services, pages: Pages) -> APIRouter:
    """What a controller does with an incident; the on-call service does it, and its trail names the person."""
    router = APIRouter(
        prefix="/alarms",
        dependencies=[CONTROLLER],
        route_class=PageRoute,
        default_response_class=HTMLResponse,
    )

    @router.post("/{number}")
    async def act(request: Request, number: Number) -> Response:
        """Acknowledge, escalate, resolve or note; the same form sent twice changes nothing more.

        Raises:
            Problem: 422 for a form that no page of ours has.
        """
        form = request.state.form
        what, once, note = form.get("do", ""), form.get("once", ""), form.get("note", "").strip()
        if what not in ACTIONS or not _ONCE.fullmatch(once):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-form", "the form is not of a page of alarms")
        if len(note) > MOST_CHARACTERS or (what == "notes" and not note):
            return await _alarm(services, pages, request, number, NO_NOTE)
        done = await services.post(
            "oncall",
            f"/incidents/{number}/{what}",
            IncidentDetail,
            Action(note=note, by=request.scope["person"].name),
            {"Idempotency-Key": once},
        )
        if done.value is None:
            return await _alarm(services, pages, request, number, done)
        return RedirectResponse(f"/alarms/{number}", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    return router


async def _alarm(
    services: Services,
    pages: Pages,
    request: Request,
    number: int,
    refused: Answer[IncidentDetail] | None = None,
) -> HTMLResponse:
    """The page of an incident; `refused` is what the on-call service said to a change that it did not make."""
    found = await services.get("oncall", f"/incidents/{number}", IncidentDetail)
    form = getattr(request.state, "form", {})
    values = {
        "page": "alarms",
        "number": number,
        "found": found,
        "link": link,
        "at": datetime.fromisoformat,
        "refused": refused,
        "given": form.get("note", ""),
        "once": form.get("once") or token_urlsafe(12),
        "most": MOST_CHARACTERS,
    }
    status = HTTPStatus.NOT_FOUND if found.status == HTTPStatus.NOT_FOUND else HTTPStatus.OK
    if refused is not None and status == HTTPStatus.OK:
        known = {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
        status = HTTPStatus(refused.status) if refused.status in known else HTTPStatus.SERVICE_UNAVAILABLE
    return pages.render(request, "alarm.html", values, status)
