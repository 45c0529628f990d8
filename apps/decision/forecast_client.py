"""Forecasts from the forecast service, over kept connections and within a time."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ValidationError

from apps.chassis import request_id
from apps.chassis.problems import Problem, refused_field, unavailable
from apps.decision.schemas import MOST_PRODUCTS
from apps.decision.settings import DecisionSettings
from apps.forecast.schemas import MAX_PAGE, Forecast, ForecastPage
from ml.errors import UnknownProduct

Read = TypeVar("Read", bound=BaseModel)


class ForecastClient:
    """Asks one forecast service; a context manager that closes the connections at its end."""

    def __init__(self, settings: DecisionSettings, registry: CollectorRegistry) -> None:
        self._client = httpx.AsyncClient(
            base_url=settings.forecast_url,
            timeout=settings.forecast_timeout_seconds,
            limits=httpx.Limits(max_connections=settings.forecast_connections),
            trust_env=False,  # a proxy for the outside must not sit between two services
        )
        self._asked = Counter(
            "decision_forecast_requests", "Forecasts asked for, by result.", ["result"], registry=registry
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def forecast(self, product_id: str) -> Forecast:
        """The product's forecast.

        Raises:
            UnknownProduct: The service has none for it.
            Problem: 503, the service did not answer in time, or not with a forecast.
        """
        try:
            forecast = await self._ask(product_id)
        except Problem:
            self._asked.labels("failed").inc()
            raise
        except UnknownProduct:
            self._asked.labels("unknown").inc()
            raise
        self._asked.labels("answered").inc()
        return forecast

    async def forecasts(self, category: str | None) -> list[Forecast]:
        """The forecasts of all products, or of one category, by product id.

        Raises:
            Problem: 503, the service did not answer in time, not with forecasts, or changed its model between
                two pages; 422, there are more than `MOST_PRODUCTS`.
        """
        found: list[Forecast] = []
        cursor: str | None = ""
        while cursor is not None:
            asked: dict[str, str | int] = {"limit": MAX_PAGE, "cursor": cursor}
            asked |= {"category": category} if category else {}
            page = _read(ForecastPage, await self._get("/forecast", asked))
            if page.total > MOST_PRODUCTS:
                raise refused_field(
                    "category", f"{page.total} products; ask by category, {MOST_PRODUCTS} at most"
                )
            found += page.forecasts
            cursor = page.next_cursor
        if len({(forecast.model_sha256, forecast.data_version) for forecast in found}) > 1:
            raise _unavailable("took over another model while it was read")
        return found

    async def _ask(self, product_id: str) -> Forecast:
        answer = await self._get(f"/forecast/{quote(product_id, safe='')}", {})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise UnknownProduct(product_id)
        return _read(Forecast, answer)

    async def _get(self, path: str, asked: Mapping[str, str | int]) -> httpx.Response:
        headers = {request_id.HEADER: request_id.current_request_id()}
        try:
            return await self._client.get(path, params=asked, headers=headers)
        except httpx.HTTPError as error:
            raise _unavailable(f"did not answer ({type(error).__name__})") from error


def _read(kind: type[Read], answer: httpx.Response) -> Read:
    if answer.status_code != HTTPStatus.OK:
        raise _unavailable(f"answered {answer.status_code}")
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise _unavailable("answered with something that is not a forecast") from error


def _unavailable(what: str) -> Problem:
    return unavailable(
        "forecast-unavailable", f"the forecast service {what}, so there is no decision; try again"
    )
