"""The routes of the decision service."""

from functools import partial
from typing import Annotated, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path
from starlette.responses import JSONResponse, Response

from apps.chassis.access import READER, GuardedRoute
from apps.chassis.problems import refused_field
from apps.chassis.refusals import refusal
from apps.decision.forecast_client import ForecastClient, Found
from apps.decision.portfolio import decide_portfolio
from apps.decision.schemas import AdMonths, Decision, DecisionRequest, Numbers, Portfolio, PortfolioRequest
from apps.forecast.schemas import Forecast
from ml.decisions import AdHistory, Defaults, decide
from ml.decisions.demand import Demand
from ml.events import TEXT_LENGTH

Name = Annotated[str, Path(max_length=TEXT_LENGTH)]


def decision_router(forecasts: ForecastClient, defaults: Defaults) -> APIRouter:
    """Decisions for products of the shop and for forecasts that are sent."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)
    turn = CapacityLimiter(1)  # a demand over many months takes long enough to hold up other requests

    async def answer(found: Found[Forecast], numbers: Numbers, months: AdMonths | None = None) -> Response:
        forecast = found.value
        history = AdHistory(months.spend_cents, months.units) if months else None
        work = partial(
            decide, forecast.model_dump(), numbers.model_dump(exclude_none=True), defaults, history
        )
        made = await run_sync(work, limiter=turn)
        return JSONResponse(made | basis(found.age_seconds, stale=forecast.stale))

    # A product id may hold a slash, and a path is decoded before it is matched.
    @router.get("/decision/{product_id:path}", response_model=Decision)
    async def decision(product_id: Name) -> Response:
        """Decide for a product by the shop's usual numbers, each marked as a default."""
        return await answer(await forecasts.forecast(product_id), Numbers())

    @router.post("/decision", response_model=Decision, responses=refusal(404))
    async def decision_by_numbers(sent: DecisionRequest) -> Response:
        """Decide by a planner's own numbers, for a product of the shop or a forecast that is sent."""
        if sent.forecast is not None:
            check_sent(sent.forecast)
            return await answer(Found(sent.forecast, 0.0), sent.economics, sent.ad_history)
        found = await forecasts.forecast(sent.product_id or "")
        return await answer(found, sent.economics, sent.ad_history)

    @router.post("/decision/portfolio", response_model=Portfolio)
    async def portfolio(sent: PortfolioRequest) -> Response:
        """Share one budget among the orders of all products, and list the next units by what they would add."""
        found = await forecasts.forecasts(sent.category)
        made = await run_sync(partial(decide_portfolio, found.value, sent, defaults), limiter=turn)
        stale = any(forecast.stale for forecast in found.value)
        return JSONResponse(made | basis(found.age_seconds, stale=stale))

    return router


def basis(age_seconds: float, *, stale: bool) -> dict[str, Any]:
    """What an answer says of its forecast's age: nothing of a current one."""
    told: dict[str, Any] = {"forecast_age_seconds": round(age_seconds, 3)} if age_seconds else {}
    return told | ({"forecast_stale": True} if stale else {})


def check_sent(forecast: Forecast) -> None:
    """Nothing for a forecast whose numbers are a distribution.

    Raises:
        Problem: 422, they are not.
    """
    try:
        Demand.of(forecast.model_dump())
    except ValueError as error:
        raise refused_field("forecast", str(error)) from error
