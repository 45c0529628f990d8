"""What the services say of themselves, or why there is no answer; a page never fails because one is down."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from apps.chassis import request_id
from apps.chassis.health import Readiness
from apps.console.settings import ConsoleSettings

Model = TypeVar("Model", bound=BaseModel)
NAMES = ("collector", "forecast", "decision")


@dataclass(frozen=True)
class Answer(Generic[Model]):
    """A service's answer, or one sentence on why there is none. `status` is 0 without an answer."""

    value: Model | None
    status: int
    missing: str | None


@dataclass(frozen=True)
class ServiceState:
    """Whether a service is up and ready, and what keeps it from being so."""

    name: str
    url: str
    up: bool
    ready: bool
    details: tuple[str, ...]


class Services:
    """Asks the services, each within the time; a context manager that closes its connections at the end."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._urls = {name: getattr(settings, f"{name}_url").rstrip("/") for name in NAMES}
        self._client = httpx.AsyncClient(timeout=settings.timeout_seconds, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(
        self, service: str, path: str, kind: type[Model], parameters: Mapping[str, str | int] | None = None
    ) -> Answer[Model]:
        """A service's answer to a GET, read as `kind`."""
        return await self._ask("GET", service, path, kind, params=parameters)

    async def post(self, service: str, path: str, kind: type[Model], body: BaseModel) -> Answer[Model]:
        """A service's answer to a POST of `body`, read as `kind`."""
        content = body.model_dump_json(exclude_unset=True)
        return await self._ask(
            "POST", service, path, kind, content=content, headers={"Content-Type": "application/json"}
        )

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
        headers = {request_id.HEADER: request_id.current_request_id(), **options.pop("headers", {})}
        try:
            found = await self._client.request(method, self._urls[service] + path, headers=headers, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(None, 0, f"{service} does not answer at {self._urls[service]} ({_reason(error)})")
        if found.status_code not in {HTTPStatus.OK, accept}:
            return Answer(None, found.status_code, _detail(found, service))
        try:
            return Answer(kind.model_validate_json(found.content), found.status_code, None)
        except ValidationError:
            return Answer(
                None, found.status_code, f"{service} answered {path} in a form this console cannot read"
            )

    async def states(self) -> list[ServiceState]:
        """Every service, asked at the same time."""
        return list(await asyncio.gather(*(self._state(name) for name in NAMES)))

    async def _state(self, name: str) -> ServiceState:
        answer = await self._ask("GET", name, "/ready", Readiness, accept=HTTPStatus.SERVICE_UNAVAILABLE)
        up, url = answer.status > 0, self._urls[name]
        if answer.value is None:
            return ServiceState(name, url, up=up, ready=False, details=(answer.missing or "",))
        checks = answer.value.checks
        failing = tuple(f"{check}: {found.detail}" for check, found in checks.items() if not found.ready)
        return ServiceState(name, url, up=up, ready=answer.value.ready, details=failing)


def _reason(error: Exception) -> str:
    return (
        "no answer in time"
        if isinstance(error, httpx.TimeoutException)
        else str(error) or type(error).__name__
    )


def _detail(answer: httpx.Response, service: str) -> str:
    """The problem's own sentence where the service gave one."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{service} answered {answer.status_code}"
