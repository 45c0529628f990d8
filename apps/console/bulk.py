"""Questions about many products at once, which take longer than a page waits and which nobody keeps the answers of."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from apps.chassis import request_id
from apps.chassis.keys import key_header
from apps.chassis.outgoing import Caller
from apps.chassis.problems import Problem, unavailable
from apps.console.settings import ConsoleSettings
from apps.decision.schemas import Decision, DecisionRequest, Portfolio, PortfolioRequest
from apps.forecast.schemas import Forecast, ForecastPage

PAGE = 200
"""Products in a question: reading the answer takes some 20 ms, in which no page is answered."""

Model = TypeVar("Model", bound=BaseModel)


class Bulk:
    """Asks forecast and decision service; a context manager that closes its connections at the end."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._urls = {
            "forecast": settings.forecast_url.rstrip("/"),
            "decision": settings.decision_url.rstrip("/"),
        }
        self._client = Caller(
            timeout=settings.bulk_seconds, trust_env=False, headers=key_header(settings.api_key)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def forecasts(self, search: str, category: str) -> AsyncIterator[list[Forecast]]:
        """Forecasts by product id, a page at a time, all of one model and one state of the data.

        Raises:
            Problem: The service does not give them, or it changed its model between two pages (503).
        """
        asked: dict[str, str | int] = {"search": search, "limit": PAGE}
        if category:
            asked["category"] = category
        cursor: str | None = ""
        origin: set[tuple[str, str]] = set()
        while cursor is not None:
            found = await self._ask(
                "GET", "forecast", "/forecast", ForecastPage, params=asked | {"cursor": cursor}
            )
            origin |= {(each.model_sha256, each.data_version) for each in found.forecasts}
            if len(origin) > 1:
                raise unavailable("model-changed", "the forecast service took over another model; ask again")
            yield found.forecasts
            cursor = found.next_cursor

    async def decision(self, forecast: Forecast) -> Decision:
        """The decision by the shop's usual numbers.

        Raises:
            Problem: The service does not give one.
        """
        return await self._post("/decision", DecisionRequest(forecast=forecast), Decision)

    async def portfolio(self, asked: PortfolioRequest) -> Portfolio:
        """Orders under one budget.

        Raises:
            Problem: The service does not give them, or refuses the question (4xx).
        """
        return await self._post("/decision/portfolio", asked, Portfolio)

    async def _post(self, path: str, body: BaseModel, kind: type[Model]) -> Model:
        content = body.model_dump_json(exclude_unset=True)
        headers = {"Content-Type": "application/json"}
        return await self._ask("POST", "decision", path, kind, content=content, headers=headers)

    async def _ask(self, method: str, service: str, path: str, kind: type[Model], **options: Any) -> Model:
        headers = {request_id.HEADER: request_id.current_request_id(), **options.pop("headers", {})}
        try:
            found = await self._client.request(method, self._urls[service] + path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise unavailable(
                f"{service}-unavailable", f"{service} does not answer ({type(error).__name__}); try again"
            ) from error
        try:
            if found.is_success:
                return kind.model_validate_json(found.content)
            detail = str(found.json()["detail"])
        except (ValidationError, ValueError, KeyError, TypeError):
            detail = f"{service} answered {path} in a form this console cannot read"
        if found.is_client_error:
            raise Problem(found.status_code, f"{service}-refused", detail)
        raise unavailable(f"{service}-unavailable", detail)
