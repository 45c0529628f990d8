"""Whoever is told: a real SMTP server and a real HTTP one that write down what came, and refuse when they shall."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "oncall", "of-the-mail-server"


@dataclass(frozen=True)
class Mail:
    """A mail that was taken."""

    to: str
    subject: str
    message_id: str
    text: str
    at: float = field(default_factory=time.monotonic)


class Mailbox:
    """An SMTP server on a free port.

    Args:
        tls: Asks for STARTTLS and a login.
        hold: Called before each mail is taken.
    """

    def __init__(self, tls: SSLContext | None = None, hold: Callable[[], object] = lambda: None) -> None:
        self.mails: list[Mail] = []
        self.refusing, self.hold, self._stopped = False, hold, False
        options: dict[str, Any] = {}
        if tls is not None:
            options = {
                "tls_context": tls,
                "require_starttls": True,
                "auth_required": True,
                "authenticator": _authenticate,
            }
        self.port = _free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a mail or refuse it."""
        if self.refusing:
            return "451 try again later"
        self.hold()
        content = envelope.content or b""
        mail = message_from_bytes(content if isinstance(content, bytes) else content.encode(), policy=default)
        text = mail.get_content()
        taken = [Mail(to, mail["Subject"], mail["Message-ID"], text) for to in envelope.rcpt_tos]
        self.mails.extend(taken)
        return "250 OK"

    def to(self, person: str) -> list[Mail]:
        """What somebody got."""
        return [mail for mail in list(self.mails) if mail.to.startswith(f"{person}@")]

    def copies(self) -> Counter[tuple[str, str]]:
        """How often each mail came, by its id and who got it."""
        return Counter((mail.message_id, mail.to) for mail in list(self.mails))

    def stop(self) -> None:
        """Close it."""
        if not self._stopped:
            self._stopped = True
            self._controller.stop()


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
) -> AuthResult:
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
    return port


class Hook:
    """An HTTP server on a free port that answers POSTs with `status`."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, Any], str]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.status == 200:
                    hook.posts.append((body, self.headers["Idempotency-Key"]))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/secret-path"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close it."""
        self._server.shutdown()
        self._server.server_close()


def until(happened: Callable[[], object], seconds: float = 30) -> float:
    """Seconds until it happened."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < seconds, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - begun
