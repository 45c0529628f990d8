"""A forge's HTTP interface: what may pass is tried again, what is refused is said in the forge's own words.

A request whose answer was lost may have worked, so `settled` looks before it writes again.
"""

import random
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar

import httpx

from scripts.errors import Broken, Refused

_SECONDARY_LIMIT_SECONDS = 60.0  # what GitHub asks for when it names no time
_SENTENCE_CHARACTERS = 500

Found = TypeVar("Found")


@dataclass(frozen=True)
class Patience:
    """How often and how long a forge is waited for.

    Args:
        tries: Attempts of one request, the first included.
        first_wait_seconds: Wait after the first failure; it doubles, and each wait is cut by up to a half at random.
        longest_wait_seconds: A forge that asks for a longer rest is given up at once.
        timeout_seconds: For one answer.
        sleep: Takes seconds.
    """

    tries: int = 5
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 90.0
    timeout_seconds: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, attempt: int, asked_seconds: float | None = None) -> None:
        """Wait after a failed attempt (0 is the first), as long as the forge asked if it did."""
        backoff = self.first_wait_seconds * 2**attempt
        jitter = random.uniform(0.5, 1.0)  # noqa: S311
        self.sleep(backoff * jitter if asked_seconds is None else asked_seconds + backoff * (1 - jitter))


class Unsettled(Broken):
    """Nobody knows what became of a request, or the same may be allowed later."""

    def __init__(self, message: str, asked_seconds: float | None = None) -> None:
        super().__init__(message)
        self.asked_seconds = asked_seconds


class ForgeRefused(Refused):
    """The forge says no, in its own sentence."""

    def __init__(self, request: str, status: int, sentence: str) -> None:
        super().__init__("forge_refused", f"{request} was refused with {status}: {sentence}")
        self.status, self.sentence = status, sentence


class ForgeHttp:
    """Requests to one forge with one token.

    Args:
        url: Where the interface starts, without credentials.
        headers: Sent with every request; the only place of the token.
        secret: The token; it is cut out of everything the forge says.
        patience: Bounds of all waiting.
    """

    def __init__(self, url: str, headers: Mapping[str, str], secret: str, patience: Patience) -> None:
        self.patience, self._secret = patience, secret
        self._client = httpx.Client(
            base_url=url, headers=dict(headers), timeout=patience.timeout_seconds, verify=_certificates()
        )
        weakref.finalize(self, self._client.close)

    def get(self, path: str, **query: str | int) -> httpx.Response:
        """The answer to a question, asked again while that may help.

        Raises:
            ForgeRefused: There is no such thing, or this account may not see it.
            Broken: No answer within the patience.
        """
        return self.settled(lambda: self.once("GET", path, query=query), lambda: None)

    def idempotent(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """A write that may be sent twice without harm, sent again while that may help.

        Raises:
            ForgeRefused: The forge says no.
            Broken: No answer within the patience.
        """
        self.settled(lambda: self.once(method, path, body=body), lambda: None)

    def settled(self, write: Callable[[], Found], look: Callable[[], Found | None]) -> Found:
        """Write; after a failure that leaves the outcome open, look whether it is there before writing again.

        Raises:
            Refused: The forge says no.
            Broken: It is not there within the patience.
        """
        for attempt in range(self.patience.tries):
            try:
                return write()
            except Unsettled as fault:
                self.wait_after(fault, attempt)
            if (found := look()) is not None:
                return found
        raise AssertionError  # pragma: no cover - the last wait raises

    def wait_after(self, fault: Unsettled, attempt: int) -> None:
        """Wait before the next attempt.

        Raises:
            Broken: There is none left, or the forge wants to be left alone for too long.
        """
        asked = fault.asked_seconds
        if asked is not None and asked > self.patience.longest_wait_seconds:
            raise Broken(f"{fault}; try again in {asked:.0f} seconds") from None
        if attempt == self.patience.tries - 1:
            raise Broken(f"{fault}; given up after {self.patience.tries} tries") from None
        self.patience.wait(attempt, asked)

    def once(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """One request, one answer.

        Raises:
            Unsettled: None came, or one that may be another later.
            ForgeRefused: The forge says no.
        """
        request = f"{method} {path}"
        try:
            answer = self._client.request(method, path, json=body, params=query)
        except httpx.TransportError as error:
            raise Unsettled(f"{request} got no answer: {type(error).__name__} {error}") from None
        if answer.is_success:
            return answer
        sentence = self._sentence(answer)
        if (limit := _asked_seconds(answer, sentence)) is not None:
            raise Unsettled(f"{request} was over the rate limit: {sentence}", limit)
        if answer.is_server_error or answer.status_code == httpx.codes.REQUEST_TIMEOUT:
            raise Unsettled(f"{request} failed with {answer.status_code}: {sentence}")
        raise ForgeRefused(request, answer.status_code, sentence)

    def _sentence(self, answer: httpx.Response) -> str:
        """What the forge says is wrong, in one line."""
        if answer.is_redirect:
            return f"the repository moved to {answer.headers.get('location', 'nowhere')}; name it there"
        try:
            said = answer.json()
        except ValueError:
            said = {}
        parts = [str(said.get("message", ""))] if isinstance(said, dict) else []
        details = said.get("errors") if isinstance(said, dict) else None
        parts += map(_detail, details if isinstance(details, list) else [])
        text = "; ".join(part for part in parts if part) or answer.reason_phrase
        return " ".join(text.replace(self._secret, "…").split())[:_SENTENCE_CHARACTERS]


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to trust; reading the certificates takes longer than a request."""
    return httpx.create_ssl_context()


def _detail(detail: object) -> str:
    """One entry of `errors`: a sentence, or GitHub's object that has one or names a field and a code."""
    if not isinstance(detail, dict):
        return str(detail)
    return str(detail.get("message") or f"{detail.get('field')} is {detail.get('code')}")


def _asked_seconds(answer: httpx.Response, sentence: str) -> float | None:
    """How long the forge wants to be left alone, None when this is not about a rate limit."""
    if answer.status_code not in {httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS}:
        return None
    if (after := answer.headers.get("retry-after")) is not None:
        return _seconds_of(after)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        return max(0.0, float(answer.headers.get("x-ratelimit-reset", time.time())) - time.time())
    limited = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or "rate limit" in sentence.lower()
    return _SECONDARY_LIMIT_SECONDS if limited else None


def _seconds_of(retry_after: str) -> float:
    """`Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3)."""
    try:
        if retry_after.isdecimal():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return _SECONDARY_LIMIT_SECONDS
