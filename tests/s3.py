"""A real S3 server on loopback, which counts what it is asked and can be told to misbehave."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

BUCKET = "models"
KEYS = {
    "AWS_ACCESS_KEY_ID": "READER",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-nobody",
    "AWS_REGION": "eu-west-1",
}
NO_ACCOUNT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ENDPOINT_URL_S3",
)

Environ = dict[str, Any]
Answer = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class S3:
    """The server; `misbehave` answers in its place while it is set.

    Attributes:
        requests: Method and path of each request, oldest first.
        accounts: The access key that signed each of them.
    """

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.requests: list[str] = []
        self.accounts: list[str] = []
        self.misbehave: Answer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs to reach it."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        signed = environ.get("HTTP_AUTHORIZATION", "")
        self.accounts.append(signed.partition("Credential=")[2].partition("/")[0])
        answer: Answer = self.misbehave or self._moto
        return answer(environ, start_response)

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket, read past the network."""
        keys = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys
        return {name: key.value for name, key in keys.items()}

    def replace(self, name: str, data: bytes) -> None:
        """Change what an object holds, as a person with rights could."""
        s3_backends["123456789012"]["aws"].put_object(BUCKET, name, data)

    def empty(self) -> None:
        """A new bucket, and nothing remembered."""
        s3_backends["123456789012"]["aws"].reset()
        s3_backends["123456789012"]["aws"].create_bucket(BUCKET, "eu-west-1")
        self.requests.clear()
        self.accounts.clear()
        self.misbehave = None


def saying(status: str, body: bytes = b"", *, length: int | None = None) -> Answer:
    """Always this answer; `length` is the one it claims to have."""

    def answer(_: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [("Content-Length", str(len(body) if length is None else length))])
        return [body]

    return answer


@contextmanager
def s3_server() -> Iterator[S3]:
    """A running server with one empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    s3 = S3()
    server = make_server("127.0.0.1", 0, s3, threaded=True)
    s3.port = server.server_port
    s3.empty()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
