"""Ways to tell somebody: mail, Slack-compatible webhooks and plain ones; each call ends within its time."""

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, Protocol

import httpx

from apps.oncall.rota import Rota
from apps.oncall.settings import OncallSettings

TRANSPORTS: Final = ("mail", "slack", "webhook")
_SLACK_CHARACTERS: Final = 3_000
_SLACK_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class NotSent(Exception):
    """Nobody took the message; it is to be tried again."""


@dataclass(frozen=True)
class Message:
    """A row of the outbox that is to be sent.

    Attributes:
        message_id: The same at each attempt, so that whoever reads it can tell a second copy.
    """

    id: int
    message_id: str
    incident: int
    target: str
    subject: str
    body: str
    created_at: Any


class Sender(Protocol):
    """Sends a message by one transport."""

    def __call__(self, message: Message, rota: Rota) -> None:
        """Return when it was taken.

        Raises:
            NotSent: It was not, or this is not known.
        """


class Mail:
    """By SMTP (RFC 5321); the connection is encrypted and its server checked unless settings say `plain`."""

    def __init__(self, settings: OncallSettings) -> None:
        self._settings = settings

    def __call__(self, message: Message, rota: Rota) -> None:
        """One mail on a connection of its own.

        Raises:
            NotSent: The person is not in the rota any more, or the server did not take it.
        """
        person = rota.people.get(message.target)
        if person is None:
            raise NotSent(f"{message.target!r} is no person of the rota")
        mail = EmailMessage()
        mail["Subject"], mail["To"], mail["From"] = message.subject, person.mail, self._settings.mail_from
        mail["Date"] = format_datetime(message.created_at)
        mail["Message-ID"] = f"<{message.message_id}@{self._settings.mail_from.rpartition('@')[2]}>"
        mail["X-Priority"] = "1"
        mail.set_content(message.body)
        try:
            with self._connected() as server:
                server.send_message(mail)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        settings = self._settings
        place, timeout = (settings.smtp_host, settings.smtp_port), settings.send_timeout_seconds
        context = ssl.create_default_context(cafile=settings.smtp_ca_file)
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(*place, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(*place, timeout=timeout)
        with closing(server):
            if settings.smtp_security == "starttls":
                server.starttls(context=context)
            if settings.smtp_user is not None and settings.smtp_password is not None:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            yield server
            with suppress(
                smtplib.SMTPException, OSError
            ):  # it was taken; a bad farewell must not send it twice
                server.quit()


class Webhook:
    """By POST of JSON to the address that the channel's file holds.

    Args:
        body: Makes the JSON of a message.
        timeout_seconds: Longest wait for each step of a call.
    """

    def __init__(self, body: "Body", timeout_seconds: float) -> None:
        self._body = body
        self._client = httpx.Client(timeout=timeout_seconds, trust_env=False)

    def __call__(self, message: Message, rota: Rota) -> None:
        """One call; redirects are not followed.

        Raises:
            NotSent: The channel is not in the rota any more, its file cannot be read, or the answer was no 2xx.
                The text does not hold the address, which is a secret.
        """
        channel = rota.channels.get(message.target)
        if channel is None:
            raise NotSent(f"{message.target!r} is no channel of the rota")
        try:
            url = channel.url_file.read_text().strip()
            answer = self._client.post(
                url, json=self._body(message), headers={"Idempotency-Key": message.message_id}
            )
        except (OSError, UnicodeDecodeError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotSent(type(error).__name__) from error
        if not answer.is_success:
            raise NotSent(f"the answer was {answer.status_code}")


class Body(Protocol):
    """Makes the JSON of a message."""

    def __call__(self, message: Message) -> Mapping[str, object]:
        """The JSON object."""


def slack_body(message: Message) -> Mapping[str, object]:
    """As Slack's incoming webhooks take it, Mattermost and Rocket.Chat too; nothing in it becomes a link or a call."""
    text = f"{message.subject}\n{message.body}".translate(_SLACK_ESCAPES)
    return {"text": text[:_SLACK_CHARACTERS]}


def plain_body(message: Message) -> Mapping[str, object]:
    """All there is to know."""
    return {
        "message_id": message.message_id,
        "incident": message.incident,
        "subject": message.subject,
        "text": message.body,
        "created_at": message.created_at.isoformat(),
    }


def senders(settings: OncallSettings) -> dict[str, Sender]:
    """One for each transport."""
    timeout = settings.send_timeout_seconds
    return {
        "mail": Mail(settings),
        "slack": Webhook(slack_body, timeout),
        "webhook": Webhook(plain_body, timeout),
    }
