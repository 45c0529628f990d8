"""Pages of other origins may post where their browser keys may (the CORS protocol of the Fetch standard)."""

from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.chassis.keys import KeyRing
from apps.chassis.problems import Problem

PREFLIGHT_SECONDS = 600


class Cors:
    """Answers preflights of `paths` and lets the origins of browser keys read every answer there.

    Refusals too: a page that cannot read a 4xx takes it for a network that failed and sends the same again. No cookie
    is ever asked for, and only `POST` with these two headers is allowed.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, paths: Collection[str]) -> None:
        self.app, self.keys, self.paths = app, keys, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through that comes from no page or goes elsewhere."""
        headers = (
            Headers(scope=scope) if scope["type"] == "http" and scope["path"] in self.paths else Headers()
        )
        if (origin := headers.get("origin")) is None:
            await self.app(scope, receive, send)
            return
        allowed = origin in self.keys.origins()
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await (_preflight(origin) if allowed else _refusal()).__call__(scope, receive, send)
            return

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.add_vary_header("Origin")
                if allowed:
                    answer["Access-Control-Allow-Origin"] = origin
                    answer["Access-Control-Expose-Headers"] = "Retry-After, X-Request-ID"
            await send(message)

        await self.app(scope, receive, send_with_origin)


def _preflight(origin: str) -> Response:
    return Response(
        status_code=HTTPStatus.NO_CONTENT,
        headers={
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Content-Type, X-API-Key",
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            "Vary": "Origin",
        },
    )


def _refusal() -> Response:
    detail = "no browser key of this service is for pages of this origin"
    return Problem(HTTPStatus.FORBIDDEN, "origin-refused", detail, headers={"Vary": "Origin"}).response()
