"""The least that uvicorn can answer: one ASGI route without a framework, to compare with."""

from starlette.types import Receive, Scope, Send

BODY = b'{"product_id":"P0001","mean":1.0}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}


async def app(scope: Scope, _: Receive, send: Send) -> None:
    """Answers everything with the same bytes."""
    if scope["type"] == "http":
        await send(START)
        await send({"type": "http.response.body", "body": BODY})
