"""What the services say of themselves, or why there is no answer; a page never fails because one is down."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from apps.chassis import request_id
from apps.chassis.health import Readiness
from apps.chassis.keys import key_header
from apps.chassis.outgoing import Caller
from apps.console.kept import LATE, Kept, Memory, Unanswered
from apps.console.settings import ConsoleSettings

Model = TypeVar("Model", bound=BaseModel)
NAMES = ("collector", "forecast", "decision")
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer(Generic[Model]):
    """A service's answer, or one sentence on why there is none. `status` is 0 without an answer.

    With both it is the last answer, of the moment `at`, and the sentence says why there is no newer one.
    """

    value: Model | None
    status: int
    missing: str | None
    at: datetime | None = None

    @property
    def is_aged(self) -> bool:
        """Whether it is the last answer because there is no newer one."""
        return self.value is not None and self.missing is not None

    @property
    def problem(self) -> str | None:
        """Why there is no answer, or no newer one."""
        return self.missing


@dataclass(frozen=True)
class ServiceState:
    """Whether a service is up and ready, and what keeps it from being so."""

    name: str
    url: str
    up: bool
    ready: bool
    details: tuple[str, ...]


class Services:
    """Asks the services; a context manager that closes its connections at the end.

    Args:
        settings: Where they are.
        memory: Keeps what they said, and how long a page waits.
    """

    def __init__(self, settings: ConsoleSettings, memory: Memory) -> None:
        self._urls = {name: getattr(settings, f"{name}_url").rstrip("/") for name in NAMES}
        self._client = Caller(timeout=settings.timeout_seconds, trust_env=False)
        self._memory, self._timeout_seconds = memory, settings.timeout_seconds
        self._keys = {name: key_header(settings.api_key) for name in ("forecast", "decision")}
        self._urls["oncall"] = settings.oncall_url.rstrip("/")
        self._keys["oncall"] = key_header(settings.oncall_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._memory.close()
        await self._client.aclose()

    async def get(
        self, service: str, path: str, kind: type[Model], parameters: Mapping[str, str | int] | None = None
    ) -> Answer[Model]:
        """A service's answer to a GET, read as `kind`."""
        name = ("GET", service, path, tuple((parameters or {}).items()))
        question = partial(self._ask, "GET", service, path, kind, params=parameters)
        return _told(await self._memory.ask(name, question))

    async def question(self, service: str, path: str, kind: type[Model], body: BaseModel) -> Answer[Model]:
        """A service's answer to a POST of `body` that changes nothing there, read as `kind`."""
        content = body.model_dump_json(exclude_unset=True)
        name = ("POST", service, path, sha256(content.encode()).digest())
        question = partial(self._ask, "POST", service, path, kind, content=content, headers=_JSON)
        return _told(await self._memory.ask(name, question))

    async def post(
        self,
        service: str,
        path: str,
        kind: type[Model],
        body: BaseModel,
        headers: Mapping[str, str] | None = None,
    ) -> Answer[Model]:
        """A service's answer to a POST of `body`, read as `kind`; it is waited for, and sent once for each call."""
        content = body.model_dump_json(exclude_unset=True)
        sent = {**_JSON, **(headers or {})}
        try:
            return await self._ask("POST", service, path, kind, content=content, headers=sent)
        except Unanswered as error:
            return Answer(None, 0, str(error))

    async def _ask(
        self,
        method: str,
        service: str,
        path: str,
        kind: type[Model],
        *,
        accept: int = HTTPStatus.OK,
        **options: Any,
    ) -> Answer[Model]:
        """The answer; one that says no (4xx) is an answer, without a value.

        Raises:
            Unanswered: There is none, it cannot be read, or the service cannot give one now.
        """
        headers = {
            request_id.HEADER: request_id.current_request_id(),
            **self._keys.get(service, {}),
            **options.pop("headers", {}),
        }
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await self._client.request(
                    method, self._urls[service] + path, headers=headers, **options
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            reason = f"{service} does not answer at {self._urls[service]} ({_reason(error)})"
            raise Unanswered(reason) from None
        if found.status_code not in {HTTPStatus.OK, accept}:
            if found.is_server_error:
                raise Unanswered(_detail(found, service))
            return Answer(None, found.status_code, _detail(found, service))
        try:
            return Answer(kind.model_validate_json(found.content), found.status_code, None)
        except ValidationError:
            raise Unanswered(f"{service} answered {path} in a form this console cannot read") from None

    async def states(self) -> list[ServiceState]:
        """Every service, asked at the same time."""
        return list(await asyncio.gather(*(self._state(name) for name in NAMES)))

    async def _state(self, name: str) -> ServiceState:
        url = self._urls[name]
        try:
            answer = await self._ask("GET", name, "/ready", Readiness, accept=HTTPStatus.SERVICE_UNAVAILABLE)
        except Unanswered as error:
            return ServiceState(name, url, up=False, ready=False, details=(str(error),))
        if answer.value is None:
            return ServiceState(name, url, up=True, ready=False, details=(answer.missing or "",))
        checks = answer.value.checks
        failing = tuple(f"{check}: {found.detail}" for check, found in checks.items() if not found.ready)
        return ServiceState(name, url, up=True, ready=answer.value.ready, details=failing)


def _told(kept: Kept[Answer[Model]]) -> Answer[Model]:
    if kept.value is None:
        return Answer(None, 0, kept.problem)
    return replace(kept.value, missing=kept.problem or kept.value.missing, at=kept.at)


def _reason(error: Exception) -> str:
    late = isinstance(error, httpx.TimeoutException | TimeoutError)
    return LATE if late else str(error) or type(error).__name__


def _detail(answer: httpx.Response, service: str) -> str:
    """The problem's own sentence where the service gave one."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{service} answered {answer.status_code}"
