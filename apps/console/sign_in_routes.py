"""Signing in and out."""

import hmac
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from apps.chassis.access import ANYONE
from apps.chassis.limits import RateLimits
from apps.console.pages import LANGUAGE_COOKIE, Pages
from apps.console.sessions import Session
from apps.console.sign_in import (
    CALLBACK,
    SIGN_IN,
    PageRoute,
    Person,
    SessionGuard,
    SignInFailed,
    local_path,
)
from apps.console.texts import LANGUAGES
from apps.console.users import LONGEST_PASSWORD, Users

if TYPE_CHECKING:
    from apps.console.provider import Provider

log = logging.getLogger(__name__)

GUESSES_PER_SECOND, GUESSES_AT_ONCE_SECONDS = 0.2, 25.0
"""Five guesses of a user's password, then one in five seconds, in each process."""

YEAR_SECONDS = 31_536_000

Text = Annotated[str, Query(max_length=2_000)]


class Door:
    """What the ways in have in common."""

    def __init__(self, guard: SessionGuard, pages: Pages, *, has_users: bool, has_provider: bool) -> None:
        self.guard, self.sessions, self._pages = guard, guard.sessions, pages
        self._ways = {"local": has_users, "provider": has_provider}

    def page(
        self, request: Request, session: Session, failed: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        """The page with the ways in, and why the last try failed."""
        request.scope["session"] = session
        values = {"page": "sign-in", "failed": failed, **self._ways}
        response = self._pages.render(request, "sign_in.html", values, status)
        self.sessions.write(response, session)
        return response

    def refused(self, request: Request, session: Session, error: SignInFailed) -> Response:
        """The page after a try at the provider."""
        log.info("sign_in_refused", extra={"by": "provider", "reason": str(error)})
        return self.page(request, session, str(error), error.status)

    def signed_in(self, person: Person, by: Literal["password", "provider"], after: str) -> Response:
        """To where somebody wanted, with a new session: what was known of the one before is worth nothing."""
        session = self.sessions.fresh().model_copy(
            update={"name": person.name, "roles": person.roles, "by": by}
        )
        response = to(local_path(after))
        self.sessions.write(response, session)
        log.info("signed_in", extra={"by": by})
        return response


def sign_in_router(door: Door, users: Users) -> APIRouter:
    """The page of the ways in, the users of the file, and the way out; open to anyone."""
    router = APIRouter(dependencies=[ANYONE], route_class=PageRoute, default_response_class=HTMLResponse)
    guesses = RateLimits(GUESSES_PER_SECOND, GUESSES_AT_ONCE_SECONDS)

    @router.get(SIGN_IN)
    async def choose(request: Request, after: Text = "/") -> Response:
        """The ways in."""
        if door.guard.person(door.sessions.read(request.scope)):
            return to(local_path(after))
        return door.page(request, door.sessions.fresh(local_path(after)))

    @router.post(SIGN_IN)
    async def with_password(request: Request) -> Response:
        """A user of the file."""
        form, session = request.state.form, request.scope["session"]
        name, password = form.get("name", "")[:LONGEST_PASSWORD], form.get("password", "")
        await guesses.take(name.casefold(), "sign-in")
        user = await users.admitted(name, password)
        if user is None:
            log.info("sign_in_refused", extra={"by": "password"})
            return door.page(request, session, "wrong", HTTPStatus.FORBIDDEN)
        return door.signed_in(Person(user.name, user.roles), "password", session.after)

    @router.get("/language/{code}")
    async def language(code: str, back: Text = "/") -> Response:
        """Keep a language in this browser, which is nobody's secret and changes nothing else."""
        response = to(local_path(back))
        if code in LANGUAGES:
            response.set_cookie(LANGUAGE_COOKIE, code, max_age=YEAR_SECONDS, httponly=True, samesite="lax")
        return response

    @router.post("/sign-out")
    async def out() -> Response:
        """Forget the session."""
        response = to(SIGN_IN)
        door.sessions.clear(response)
        return response

    return router


def provider_router(door: Door, provider: "Provider") -> APIRouter:
    """To the identity provider and back; open to anyone."""
    router = APIRouter(dependencies=[ANYONE], route_class=PageRoute, default_response_class=HTMLResponse)

    @router.get(f"{SIGN_IN}/provider")
    async def at_provider(request: Request) -> Response:
        """To the identity provider."""
        before = door.sessions.read(request.scope) or door.sessions.fresh()
        try:
            address, flow = await provider.begin()
        except SignInFailed as error:
            return door.refused(request, before, error)
        response = to(address)
        door.sessions.write(response, door.sessions.fresh(before.after, flow))
        return response

    @router.get(CALLBACK)
    async def back(request: Request, code: Text = "", state: Text = "") -> Response:
        """From the identity provider; what it refused has no code."""
        session = door.sessions.read(request.scope)
        if session is None or session.flow is None:
            return to(SIGN_IN)
        fresh = door.sessions.fresh(session.after)  # what came back was its only chance
        if not hmac.compare_digest(state.encode(), session.flow.state.encode()):
            return door.refused(
                request, fresh, SignInFailed("the answer is of another sign-in; sign in again")
            )
        try:
            person = await provider.finish(session.flow, code)
        except SignInFailed as error:
            return door.refused(request, fresh, error)
        return door.signed_in(person, "provider", session.after)

    return router


def to(address: str) -> RedirectResponse:
    """The answer that leads on, kept by nobody."""
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
