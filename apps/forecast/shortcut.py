"""Answers that lie ready as bytes, given without the framework: it costs three times what the rest does.

Only what is plainly there is answered here. Everything else, refusals among it, takes the framework's route, which
stays the reference for what the path takes and answers.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.chassis.access import rule_of

Headers = Sequence[tuple[bytes, bytes]]
Ready = Callable[[str], tuple[bytes, Headers] | None]
"""From the rest of a path to a body with its headers; None leaves the request to the framework."""


class Path(NamedTuple):
    """A route's template by the name that metrics and logs know it by."""

    path_format: str


class Shortcut:
    """Answers `GET prefix...` from what lies ready; no query, no other method, and no route that asks for a key."""

    def __init__(
        self, app: ASGIApp, prefix: str, template: str, ready: Ready, routes: Iterable[BaseRoute]
    ) -> None:
        self.app, self.prefix, self.ready = app, prefix, ready
        self.path = Path(template)
        rules = [rule_of(route) for route in routes if getattr(route, "path_format", None) == template]
        self.open = rules == ["anyone"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the answer that is ready, or pass the request on as it is."""
        found = None
        if self.open and scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]:
            path: str = scope["path"]
            if path.startswith(self.prefix):
                found = self.ready(path[len(self.prefix) :])
        if found is None:
            await self.app(scope, receive, send)
            return
        body, headers = found
        scope["route"] = self.path
        length = (b"content-length", str(len(body)).encode("ascii"))
        await send({"type": "http.response.start", "status": 200, "headers": [length, *headers]})
        await send({"type": "http.response.body", "body": body})
