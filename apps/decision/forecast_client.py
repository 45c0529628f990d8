"""Forecasts from the forecast service, over kept connections, within a time, and for a while also without it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Generic, Self, TypeVar
from urllib.parse import quote, urlencode

import httpx
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ValidationError

from apps.chassis import request_id
from apps.chassis.keys import key_header
from apps.chassis.outgoing import Caller
from apps.chassis.problems import Problem, refused_field, unavailable
from apps.decision.kept_answers import KeptAnswers
from apps.decision.schemas import MOST_PRODUCTS
from apps.decision.settings import DecisionSettings
from apps.forecast.schemas import MAX_PAGE, Forecast, ForecastPage
from ml.errors import UnknownProduct

Read = TypeVar("Read")
Model = TypeVar("Model", bound=BaseModel)

REST_SECONDS = 1.0
"""After the service was too slow it is left alone this long where a kept answer does."""


@dataclass(frozen=True)
class Found(Generic[Read]):
    """What the service gave, `age_seconds` ago; 0.0 if it was asked for now."""

    value: Read
    age_seconds: float


class _NoAnswer(Exception):
    """Why there is none; the text goes after "the forecast service"."""


class ForecastClient:
    """Asks one forecast service; a context manager that closes the connections at its end.

    When the service does not answer, its last answer to the same question stands in for as long as
    `forecast_kept_seconds`; what comes back says how old it is.
    """

    def __init__(self, settings: DecisionSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._client = Caller(
            base_url=settings.forecast_url,
            timeout=settings.forecast_timeout_seconds,
            limits=httpx.Limits(max_connections=settings.forecast_connections),
            trust_env=False,  # a proxy for the outside must not sit between two services
            headers=key_header(settings.forecast_key),
        )
        self._kept = KeptAnswers(settings.forecast_kept_bytes)
        self._rests_until = 0.0
        self._asked = Counter(
            "decision_forecast_requests",
            "Answers of the forecast service that were needed: answered, unknown, kept (an older one) or failed.",
            ["result"],
            registry=registry,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def forecast(self, product_id: str) -> Found[Forecast]:
        """The product's forecast.

        Raises:
            UnknownProduct: The service has none for it.
            Problem: 503, the service did not give one in time and none is kept that is young enough.
        """
        found = await self._get(Forecast, f"/forecast/{_segment(product_id)}")
        if found is None:
            raise UnknownProduct(product_id)
        return found

    async def forecasts(self, category: str | None) -> Found[list[Forecast]]:
        """The forecasts of all products, or of one category, by product id; as old as the oldest page.

        Raises:
            Problem: 503, the service did not give them in time and they are not kept either, or it changed its
                model between two pages; 422, there are more than `MOST_PRODUCTS`.
        """
        forecasts: list[Forecast] = []
        oldest = 0.0
        cursor: str | None = ""
        while cursor is not None:
            asked: dict[str, str | int] = {"limit": MAX_PAGE, "cursor": cursor}
            asked |= {"category": category} if category else {}
            found = await self._get(ForecastPage, f"/forecast?{urlencode(asked)}")
            if found is None:
                raise _unavailable("answered 404")
            page = found.value
            if page.total > MOST_PRODUCTS:
                raise refused_field(
                    "category", f"{page.total} products; ask by category, {MOST_PRODUCTS} at most"
                )
            forecasts += page.forecasts
            oldest, cursor = max(oldest, found.age_seconds), page.next_cursor
        if len({(forecast.model_sha256, forecast.data_version) for forecast in forecasts}) > 1:
            raise _unavailable("took over another model while it was read")
        return Found(forecasts, oldest)

    async def _get(self, kind: type[Model], path: str) -> Found[Model] | None:
        """What the service says, now or a while ago; None if it says that there is no such thing."""
        if time.monotonic() < self._rests_until and (kept := self._old(kind, path)):
            return kept
        try:
            content = await self._ask(path)
            value = None if content is None else _read(kind, content)
        except _NoAnswer as error:
            if kept := self._old(kind, path):
                return kept
            self._asked.labels("failed").inc()
            raise _unavailable(str(error)) from error
        if value is None or content is None:
            self._kept.drop(path)
            self._asked.labels("unknown").inc()
            return None
        self._kept.put(path, content, time.monotonic())
        self._asked.labels("answered").inc()
        return Found(value, 0.0)

    def _old(self, kind: type[Model], path: str) -> Found[Model] | None:
        kept = self._kept.get(path)
        if kept is None or (age := time.monotonic() - kept.at) > self._settings.forecast_kept_seconds:
            return None
        self._asked.labels("kept").inc()
        return Found(_read(kind, kept.content), age)

    async def _ask(self, path: str) -> bytes | None:
        try:
            async with asyncio.timeout(self._settings.forecast_timeout_seconds):
                answer = await self._twice(path)
        except (TimeoutError, httpx.TimeoutException) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise _NoAnswer(f"did not answer ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise _NoAnswer(f"did not answer ({type(error).__name__})") from error
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if answer.status_code != HTTPStatus.OK:
            raise _NoAnswer(f"answered {answer.status_code}")
        return answer.content

    async def _twice(self, path: str) -> httpx.Response:
        """A kept connection may end under a request, as at the end of a pod; a question can be asked again."""
        headers: Mapping[str, str] = {request_id.HEADER: request_id.current_request_id()}
        try:
            return await self._client.get(path, headers=headers)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            return await self._client.get(path, headers=headers)


def _segment(product_id: str) -> str:
    """An id in a path; `.` and `..` alone would be taken for the place that they name in one."""
    return quote(product_id, safe="") if product_id.strip(".") else product_id.replace(".", "%2E")


def _read(kind: type[Model], content: bytes) -> Model:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise _NoAnswer("answered with something that is not a forecast") from error


def _unavailable(what: str) -> Problem:
    return unavailable(
        "forecast-unavailable", f"the forecast service {what}, so there is no decision; try again"
    )
