"""Who may call a route; an application with a route that does not say it refuses to start."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, APIKeyQuery
from starlette.routing import BaseRoute

from apps.chassis.keys import KeyRing, Role, StoredKey
from apps.chassis.problems import Problem

_header = APIKeyHeader(name="X-API-Key", scheme_name="api_key", auto_error=False)
_query = APIKeyQuery(
    name="key",
    scheme_name="browser_key",
    auto_error=False,
    description="A browser key alone: a beacon of a page that closes can send no header.",
)


class UndeclaredAccess(Exception):
    """A route declares no rule, or asks for a key that its service does not have."""


async def anyone() -> None:
    """No credential is asked for."""


@dataclass(frozen=True)
class KeyHolder:
    """A key with one of these roles is asked for; `request.state.key` is the one that came.

    Raises:
        Problem: 401 without a key, with an unknown one or outside its time; 403 for a key of another environment, of
            other roles, or of other origins.
    """

    roles: frozenset[Role]

    async def __call__(self, request: Request, offered: Annotated[str | None, Security(_header)]) -> None:
        """Let the request through or raise."""
        request.state.key = admitted(
            request.app.state.keys, offered, self.roles, request.headers.get("origin")
        )


@dataclass(frozen=True)
class KeyHolderOrPage:
    """As `KeyHolder`; a browser key may also stand in the address, as it is public anyway."""

    roles: frozenset[Role]

    async def __call__(
        self,
        request: Request,
        offered: Annotated[str | None, Security(_header)],
        addressed: Annotated[str | None, Security(_query)],
    ) -> None:
        """Let the request through or raise."""
        origin = request.headers.get("origin")
        key = admitted(request.app.state.keys, offered or addressed, self.roles, origin)
        if not offered and Role.browser not in key.roles:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "key-in-address",
                "a key that is secret must not stand in an address, which ends up in logs: replace it, and send the new"
                " one in the X-API-Key header",
            )
        request.state.key = key


def admitted(ring: KeyRing, offered: str | None, roles: frozenset[Role], origin: str | None) -> StoredKey:
    """The key that was offered, if it may do what `roles` may, here, now and from that origin."""
    key = ring.find(offered or "")
    if key is None:
        raise _unauthorized(
            "api-key-refused", "the X-API-Key header is missing or wrong; send a key that this service knows"
        )
    if key.environment != ring.environment:
        raise _forbidden(
            "key-of-another-environment",
            f"the key is for the environment {key.environment!r}, and this is {ring.environment!r}",
        )
    now = ring.clock()
    if key.not_before is not None and now < key.not_before:
        raise _unauthorized("key-not-yet-valid", f"the key is valid from {key.not_before.isoformat()} on")
    if key.not_after is not None and now >= key.not_after:
        raise _unauthorized(
            "key-expired", f"the key was valid until {key.not_after.isoformat()}; ask for a new one"
        )
    if not key.roles & roles:
        raise _forbidden(
            "role-refused", f"this takes a key of the roles {_named(roles)}, not {_named(key.roles)}"
        )
    if key.origins and origin not in key.origins:
        raise _forbidden(
            "origin-refused", "the key is for pages of other origins; add this one to the key's line"
        )
    return key


def _unauthorized(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, name, detail, headers={"WWW-Authenticate": "APIKey"})


def _forbidden(name: str, detail: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, name, detail)


def _named(roles: Iterable[Role]) -> str:
    return ", ".join(sorted(roles))


ANYONE = Depends(anyone)
KEY_HOLDER = Depends(KeyHolder(frozenset({Role.controller})))
EVENT_SENDER = Depends(KeyHolderOrPage(frozenset({Role.sender, Role.browser})))


def rule_of(route: BaseRoute) -> str | None:
    """The declared rule of a route, `anyone` or `key`; None when it declares none."""
    declared: Iterable[Dependency] = route.dependencies if isinstance(route, APIRoute) else ()
    return next((rule for item in declared if (rule := _rule(item)) is not None), None)


def _rule(item: Dependency) -> str | None:
    if isinstance(item.dependency, KeyHolder | KeyHolderOrPage):
        return "key"
    return "anyone" if item.dependency is anyone else None


def require_declared(routes: Iterable[BaseRoute], keys: KeyRing | None) -> None:
    """Pass when every route has a rule that the service can apply.

    Raises:
        UndeclaredAccess: It names the first route without one.
    """
    for route in routes:
        rule = rule_of(route)
        path = getattr(route, "path", repr(route))
        if rule is None:
            raise UndeclaredAccess(f"route {path} declares no access rule; add ANYONE or KEY_HOLDER")
        if rule == "key" and keys is None:
            raise UndeclaredAccess(f"route {path} asks for a key, and the service has none")
