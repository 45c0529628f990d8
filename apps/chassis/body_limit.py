"""A bound on what a caller can make the process hold in memory."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.chassis.problems import Problem


class BodyLimit:
    """Refuses a body of more than `limit_bytes` with 413, by its header or, without one, by counting."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self.app, self.limit_bytes = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an announced excess at once; stop reading an unannounced one at the limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self._announced_bytes(scope) > self.limit_bytes:
            await self._refusal().response()(scope, receive, send)
        else:
            await self.app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit_bytes:
                raise self._refusal()
            return message

        return receive_counted

    def _refusal(self) -> Problem:
        detail = f"the body is larger than {self.limit_bytes} bytes; send it in several requests"
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail)

    @staticmethod
    def _announced_bytes(scope: Scope) -> int:
        announced = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
        return int(announced) if announced.isdigit() else 0
