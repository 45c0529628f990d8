"""Who may call a route; an application with a route that does not say it refuses to start."""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBearer
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope

from apps.chassis.guard import Guard, admitted
from apps.chassis.keys import HEADER, KeyRing, Role
from apps.chassis.problems import Problem

_header = APIKeyHeader(name=HEADER, scheme_name="api_key", auto_error=False)
_token = HTTPBearer(scheme_name="token", bearerFormat="JWT", auto_error=False)
_query = APIKeyQuery(
    name="key",
    scheme_name="browser_key",
    auto_error=False,
    description="A browser key alone: a beacon of a page that closes can send no header.",
)


class UndeclaredAccess(Exception):
    """A route declares no rule, or asks for a credential of a service that takes none."""


async def anyone() -> None:
    """No credential is asked for."""


@dataclass(frozen=True)
class Holder:
    """A key or a token with one of these roles is asked for.

    Raises:
        Problem: As `apps.chassis.guard.Guard.admit`.
    """

    name: str
    roles: frozenset[Role]
    open_without_credentials: bool = False

    async def __call__(
        self,
        request: Request,
        _key: Annotated[str | None, Security(_header)],
        _bearer: Annotated[object, Security(_token)],  # both for the OpenAPI document
    ) -> None:
        """Let the request through or raise, unless its route has done so before it read the body."""
        if request.scope.get("admitted") is not self:
            await self.admit(request.scope)

    async def admit(self, scope: Scope) -> None:
        """Let a request through or raise, without the framework."""
        guard: Guard = scope["app"].state.guard
        if not (self.open_without_credentials and guard.open_to_readers):
            await guard.admit(scope, self.roles)
        scope["admitted"] = self


@dataclass(frozen=True)
class EventSender:
    """A key of a sender or a page is asked for; a page's may also stand in the address, as it is public anyway.

    `request.state.key` is the one that came.

    Raises:
        Problem: 401 without a key, with an unknown one or outside its time; 403 for a key of another environment, of
            other roles, or of other origins; 429 over its rate.
    """

    name: str
    roles: frozenset[Role]

    async def __call__(
        self,
        request: Request,
        offered: Annotated[str | None, Security(_header)],
        addressed: Annotated[str | None, Security(_query)],
    ) -> None:
        """Let the request through or raise."""
        origin = request.headers.get("origin")
        guard: Guard = request.app.state.guard
        key = admitted(guard.keys or KeyRing(), offered or addressed, self.roles, origin)
        if not offered and Role.browser not in key.roles:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "key-in-address",
                "a key that is secret must not stand in an address, which ends up in logs: replace it, and send the new"
                " one in the X-API-Key header",
            )
        request.state.key = key
        request.scope["caller"] = key.caller
        await guard.count(key)


Rule = Holder | EventSender

ANYONE = Depends(anyone)
READER = Depends(Holder("viewer", frozenset({Role.viewer, Role.controller}), open_without_credentials=True))
CONTROLLER = Depends(Holder("controller", frozenset({Role.controller})))
EVENT_SENDER = Depends(EventSender("sender", frozenset({Role.sender, Role.browser})))


def rules_of(route: BaseRoute) -> list[Rule | None]:
    """The declared rules of a route, None for `ANYONE`; there should be one."""
    declared: Iterable[Dependency] = route.dependencies if isinstance(route, APIRoute) else ()
    found = (item.dependency for item in declared)
    return [
        each if isinstance(each, Rule) else None for each in found if isinstance(each, Rule) or each is anyone
    ]


class GuardedRoute(APIRoute):
    """Applies a `Holder` before anything of the body is read, which the framework does before it asks dependencies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler behind its rule."""
        handle, rules = super().get_route_handler(), rules_of(self)

        async def guarded(request: Request) -> Response:
            for rule in rules:
                if isinstance(rule, Holder):
                    await rule.admit(request.scope)
            return await handle(request)

        return guarded


def require_declared(routes: Iterable[BaseRoute], guard: Guard) -> None:
    """Pass when every route has one rule, and one that the service can apply.

    Raises:
        UndeclaredAccess: It names the first route that has not.
    """
    for route in routes:
        rules, path = rules_of(route), getattr(route, "path", repr(route))
        if len(rules) != 1:
            raise UndeclaredAccess(
                f"route {path} declares {len(rules)} access rules; add one of ANYONE, READER, CONTROLLER"
            )
        if isinstance(rules[0], Holder) and not isinstance(route, GuardedRoute):
            raise UndeclaredAccess(
                f"route {path} would read a body before its rule; give its router GuardedRoute"
            )
        asks = rules[0] is not None and not getattr(rules[0], "open_without_credentials", False)
        if asks and not guard.has_credentials:
            raise UndeclaredAccess(f"route {path} asks for a credential, and the service takes none")
