"""Products: the list by page, and one product with its past, its forecast and a decision."""

import asyncio
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse

from apps.chassis.access import READER
from apps.console import what_if
from apps.console.chart import demand_chart, range_of
from apps.console.pages import Pages
from apps.console.past_chart import past_chart
from apps.console.services import Answer, Services
from apps.console.sign_in import PageRoute
from apps.console.track_record import track_record
from apps.decision.schemas import Decision, DecisionRequest, Numbers
from apps.forecast.schemas import CategoryForecasts, Forecast, ForecastPage, Past
from ml.events import TEXT_LENGTH

PAGE = 25

Text = Annotated[str, Query(max_length=TEXT_LENGTH)]
Name = Annotated[str, Path(max_length=TEXT_LENGTH)]


def product_router(services: Services, pages: Pages) -> APIRouter:
    """Products, and one of them; both only read."""
    router = APIRouter(
        prefix="/products", dependencies=[READER], route_class=PageRoute, default_response_class=HTMLResponse
    )

    @router.get("")
    async def products(
        request: Request, search: Text = "", category: Text = "", cursor: Text = ""
    ) -> HTMLResponse:
        """Every product's forecast, by page."""
        parameters: dict[str, str | int] = {"search": search, "cursor": cursor, "limit": PAGE}
        if category:
            parameters["category"] = category
        found, categories = await asyncio.gather(
            services.get("forecast", "/forecast", ForecastPage, parameters),
            services.get("forecast", "/categories", CategoryForecasts),
        )
        forecasts = found.value.forecasts if found.value else []
        return pages.render(
            request,
            "products.html",
            {
                "page": "products",
                "found": found,
                "categories": categories,
                "rows": [(forecast, range_of(forecast)) for forecast in forecasts],
                "search": search,
                "category": category,
                "cursor": cursor,
            },
        )

    # A product id may hold a slash, and a path is decoded before it is matched.
    @router.get("/{product_id:path}")
    async def product(product_id: Name, request: Request) -> HTMLResponse:
        """One product: its forecast and past, and a decision by the numbers in the address."""
        segment = quote(product_id, safe="")
        forecast, past = await asyncio.gather(
            services.get("forecast", f"/forecast/{segment}", Forecast),
            services.get("forecast", f"/past/{segment}", Past),
        )
        f, p, numbers = forecast.value, past.value, Numbers()
        wrong: what_if.NotANumber | None = None
        try:
            numbers = what_if.numbers_from(request.query_params, pages.language(request))
        except what_if.NotANumber as error:
            wrong = error
        decision = await _decision(services, f if wrong is None else None, numbers)
        stock = decision.value.stock if decision.value else None
        shown = stock.stock_units if stock and stock.cover_months == 1 else None  # the chart shows one month
        return pages.render(
            request,
            "product.html",
            {
                "page": "products",
                "product_id": product_id,
                "forecast": forecast,
                "decision": decision,
                "wrong": wrong,
                "chart": demand_chart(f, shown) if f else None,
                "past": past,
                "past_chart": past_chart(p, f) if p and f else None,
                "record": track_record(p) if p else None,
                "inputs": what_if.FIELDS,
                "given": request.query_params,
            },
            status=HTTPStatus.NOT_FOUND if forecast.status == HTTPStatus.NOT_FOUND else HTTPStatus.OK,
        )

    return router


async def _decision(services: Services, forecast: Forecast | None, numbers: Numbers) -> Answer[Decision]:
    """The decision for a forecast that is there; the decision service need not ask for it again."""
    if forecast is None:
        return Answer(None, 0, None)
    return await services.question(
        "decision", "/decision", Decision, DecisionRequest(forecast=forecast, economics=numbers)
    )
