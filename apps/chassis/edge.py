"""The outermost layer of a service: request id, security headers, metrics, one log line per request.

Pure ASGI: it adds one function call to sending, no task and no copy of the body.
"""

import logging
from collections.abc import Iterable
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.chassis import request_id
from apps.chassis.errors import unexpected
from apps.chassis.metrics import UNMATCHED, Metrics

log = logging.getLogger(__name__)

API_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
NO_ANSWER_STATUS = 499  # the caller left before the first byte; nginx's number for it


def security_headers(content_policy: str) -> list[tuple[bytes, bytes]]:
    """Headers of every answer; transport security belongs to whoever ends TLS."""
    return [
        (b"content-security-policy", content_policy.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    ]


class Edge:
    """Wraps an application so that each request is named, counted, timed, logged and never ends bare.

    `draining` is set while the process stops: answers then ask callers to open a new connection,
    which reaches the process that took over the port.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, content_policy: str) -> None:
        self.app, self.metrics = app, metrics
        self.headers = security_headers(content_policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything but HTTP through untouched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = perf_counter(), NO_ANSWER_STATUS
        offered = _header(scope["headers"], b"x-request-id")
        own = (b"x-request-id", request_id.begin(offered).encode("ascii"))
        draining = scope["app"].state.draining

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = list(message.get("headers", ()))
                said = {name for name, _ in given}  # a route may know better
                message["headers"] = [*given, own, *(pair for pair in self.headers if pair[0] not in said)]
                if draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            log.exception("request failed")
            if status == NO_ANSWER_STATUS:
                await unexpected().response()(scope, receive, send_with_headers)
        finally:
            self._account(scope, status, perf_counter() - started)

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        self.metrics.observe(scope["method"], route, status, seconds)
        log.info(
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "route": route,
                "status": status,
                "caller": scope.get("caller"),
                "milliseconds": round(seconds * 1000, 3),
            },
        )


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
