"""Who may see a page and who may change something: the session's person, in the roles of now."""

import hmac
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from apps.chassis.access import GuardedRoute, Holder, rules_of
from apps.chassis.guard import Guard
from apps.chassis.keys import Role
from apps.chassis.problems import Problem
from apps.console.kept import begin_page
from apps.console.sessions import Session, Sessions
from apps.console.users import Users

SIGN_IN = "/sign-in"
CALLBACK = "/sign-in/callback"
FORM_TOKEN = "form"  # noqa: S105 - the name of a field
MOST_FIELDS = 20

_READS = frozenset({"GET", "HEAD"})
_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x1f\\]*")


class SignInFailed(Exception):
    """Nobody was signed in; the text says why and holds no token.

    Args:
        reason: One sentence.
        status: What a page that says so is answered with.
    """

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Person:
    """Who is signed in. `roles` are those of now for a user of the file, else those of when the session began."""

    name: str
    roles: frozenset[Role]

    @property
    def controls(self) -> bool:
        """Whether changes are shown as something that this person can do."""
        return Role.controller in self.roles


class SessionGuard(Guard):
    """Lets in whoever has a session, in the roles that a route asks for; no key and no bearer's token opens a page."""

    def __init__(self, sessions: Sessions, users: Users) -> None:
        super().__init__()
        self.sessions, self._users = sessions, users

    @property
    def has_credentials(self) -> bool:
        """Always: without users and provider nobody has one, and every page is closed."""
        return True

    @property
    def open_to_readers(self) -> bool:
        """Never, not on a laptop either: the console can change what runs."""
        return False

    async def admit(self, scope: Scope, roles: frozenset[Role]) -> None:
        """Let a request through whose session is somebody's with one of `roles`.

        Raises:
            HTTPException: 303 to the sign-in, for a page without a session; 401 that names it, for a part of one.
            Problem: 401 for a change without one, 403 for a person of other roles.
        """
        session = self.sessions.read(scope)
        person = self.person(session)
        if person is None:
            raise _sign_in_first(scope)
        scope["session"], scope["person"], scope["caller"] = session, person, "session"
        if not person.roles & roles:
            wanted = " or ".join(sorted(roles))
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "role-refused",
                f"this is for the role {wanted}; ask whoever gives roles, or sign in as somebody else",
            )

    def person(self, session: Session | None) -> Person | None:
        """Whose session it is; nobody's when the file no longer has the user."""
        if session is None or not session.name:
            return None
        if session.by == "password":
            user = self._users.find(session.name)
            return Person(user.name, user.roles) if user else None
        return Person(session.name, session.roles)


class PageRoute(GuardedRoute):
    """A route of the console, which looks at a change before it is done.

    That is its role, where its form comes from, and the token that only a page of this session has (OWASP's signed
    double submit). `request.state.form` has the form's fields. What a page asks others for has from here on so long as
    `apps.console.kept.Memory` gives it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler behind its rule and, where it changes something, behind the form's token."""
        handle, rules = super().get_route_handler(), rules_of(self)

        async def timed(request: Request) -> Response:
            begin_page()
            return await handle(request)

        if set(self.methods or ()) <= _READS:
            return timed

        async def checked(request: Request) -> Response:
            for rule in rules:
                if isinstance(rule, Holder):
                    await rule.admit(request.scope)
            request.state.form = await _checked_form(request)
            return await timed(request)

        return checked


async def _checked_form(request: Request) -> Mapping[str, str]:
    guard: SessionGuard = request.app.state.guard
    session = guard.sessions.read(request.scope)
    if not _same_site(request):
        raise Problem(HTTPStatus.FORBIDDEN, "other-site", "the form comes from a page of another site")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no-form", f"a form is sent here, not {kind[:80]!r}")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-form", "the form cannot be read") from None
    form = dict(pairs)
    expected, offered = session.form if session else "", form.pop(FORM_TOKEN, "")
    if not expected or not hmac.compare_digest(expected.encode(), offered.encode()):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "form-refused",
            "the form is not of this session; go back, reload the page, try again",
        )
    request.scope["session"] = session
    return form


def _same_site(request: Request) -> bool:
    """What the browser says of where the form comes from; one that says nothing has only the token.

    Our own `Referrer-Policy: no-referrer` makes browsers write `Origin: null` (Fetch standard), so that says nothing.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin in {None, "null"} or urlsplit(str(origin)).netloc == request.headers.get("host")


def local_path(text: str) -> str:
    """A path of the console out of what an address says; the first page for anything else."""
    return text if _LOCAL_PATH.fullmatch(text) else "/"


def _sign_in_first(scope: Scope) -> Exception:
    if scope["method"] not in _READS:
        return Problem(HTTPStatus.UNAUTHORIZED, "session-missing", "sign in, then send the form again")
    asked = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    address = f"{SIGN_IN}?{urlencode({'after': asked})}" if asked != "/" else SIGN_IN
    if (b"hx-request", b"true") in scope["headers"]:  # a part of a page; the page itself has to go there
        headers = {"HX-Redirect": address, "Cache-Control": "no-store"}
        return HTTPException(HTTPStatus.UNAUTHORIZED, "sign in first", headers)
    headers = {"Location": address, "Cache-Control": "no-store"}
    return HTTPException(HTTPStatus.SEE_OTHER, "sign in first", headers)
