"""Who may call a route; an application with a route that does not say it refuses to start."""

from collections.abc import Iterable
from hmac import compare_digest
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import SecretStr
from starlette.routing import BaseRoute

from apps.chassis.problems import Problem

_header = APIKeyHeader(name="X-API-Key", scheme_name="api_key", auto_error=False)


class UndeclaredAccess(Exception):
    """A route says neither ANYONE nor KEY_HOLDER, or asks for a key that its service does not have."""


async def anyone() -> None:
    """No credential is asked for."""


async def key_holder(request: Request, offered: Annotated[str | None, Security(_header)]) -> None:
    """The service's API key is asked for.

    Raises:
        Problem: 401 without a key or with a wrong one; the comparison takes the same time for both.
    """
    expected: SecretStr = request.app.state.api_key
    if not compare_digest((offered or "").encode(), expected.get_secret_value().encode()):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "api-key-refused",
            "the X-API-Key header is missing or wrong; send the key that this service was started with",
            headers={"WWW-Authenticate": "APIKey"},
        )


ANYONE = Depends(anyone)
KEY_HOLDER = Depends(key_holder)
_RULES = {anyone: "anyone", key_holder: "key"}


def rule_of(route: BaseRoute) -> str | None:
    """The declared rule of a route, `anyone` or `key`; None when it declares none."""
    declared: Iterable[Dependency] = route.dependencies if isinstance(route, APIRoute) else ()
    return next((_RULES[item.dependency] for item in declared if item.dependency in _RULES), None)


def require_declared(routes: Iterable[BaseRoute], api_key: SecretStr | None) -> None:
    """Pass when every route has a rule that the service can apply.

    Raises:
        UndeclaredAccess: It names the first route without one.
    """
    for route in routes:
        rule = rule_of(route)
        path = getattr(route, "path", repr(route))
        if rule is None:
            raise UndeclaredAccess(f"route {path} declares no access rule; add ANYONE or KEY_HOLDER")
        if rule == "key" and api_key is None:
            raise UndeclaredAccess(f"route {path} asks for a key, and the service has none")
