"""Answers that lie ready as bytes, given without the framework: it costs three times what the rest does.

Only what is plainly there is answered here, to whom the route would answer. Everything else takes the framework's
route, which stays the reference for what the path takes and answers.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.chassis.access import Holder, rules_of
from apps.chassis.problems import Problem

Headers = Sequence[tuple[bytes, bytes]]


class Ready(NamedTuple):
    """A body with its headers, and what is to be done once it is answered."""

    body: bytes
    headers: Headers
    served: Callable[[], None]


Find = Callable[[str], Ready | None]
"""From the rest of a path to what lies ready; None leaves the request to the framework."""


class Path(NamedTuple):
    """A route's template by the name that metrics and logs know it by."""

    path_format: str


class Shortcut:
    """Answers `GET prefix...` from what lies ready, by the rule of its route; no query and no other method."""

    def __init__(
        self, app: ASGIApp, prefix: str, template: str, find: Find, routes: Iterable[BaseRoute]
    ) -> None:
        self.app, self.prefix, self.find = app, prefix, find
        self.path = Path(template)
        rules = [
            rule
            for route in routes
            if getattr(route, "path_format", None) == template
            for rule in rules_of(route)
        ]
        self.rule = rules[0] if len(rules) == 1 else None
        self.known = len(rules) == 1 and (self.rule is None or isinstance(self.rule, Holder))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the answer that is ready, or pass the request on as it is."""
        found = None
        if self.known and scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]:
            path: str = scope["path"]
            if path.startswith(self.prefix):
                found = self.find(path[len(self.prefix) :])
        if found is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = self.path
        if isinstance(self.rule, Holder):
            try:
                await self.rule.admit(scope)
            except Problem as refused:
                await refused.response()(scope, receive, send)
                return
        found.served()
        length = (b"content-length", str(len(found.body)).encode("ascii"))
        await send({"type": "http.response.start", "status": 200, "headers": [length, *found.headers]})
        await send({"type": "http.response.body", "body": found.body})
