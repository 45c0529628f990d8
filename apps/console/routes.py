"""The pages of the console. Each is made from what answers; what does not is named on it."""

import asyncio
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from apps.chassis.access import ANYONE
from apps.chassis.problems import Problem
from apps.console import what_if
from apps.console.chart import demand_chart, range_of
from apps.console.deployments import History, Release
from apps.console.git_history import GitHistory, Unreadable
from apps.console.pages import Pages, Static
from apps.console.services import Answer, Services
from apps.decision.schemas import Decision, DecisionRequest
from apps.forecast.schemas import CategoryForecasts, Forecast, ForecastPage, ModelInfo, QualityReport
from ml.events import TEXT_LENGTH

PAGE = 25
VERDICTS = ("fail", "warn", "pass")
"""Checks are listed in this order, others at the end."""

Text = Annotated[str, Query(max_length=TEXT_LENGTH)]
Name = Annotated[str, Path(max_length=TEXT_LENGTH)]


async def _history(git: GitHistory) -> tuple[History, str | None]:
    """The deployments, or none and the reason."""
    try:
        return await git.read(), None
    except Unreadable as error:
        return History(), str(error)


def differences(release: Release | None, info: ModelInfo | None) -> list[tuple[str, str, str]] | None:
    """(name, in Git, running) of what differs; None where one side is not known."""
    if release is None or info is None:
        return None
    wanted, running = release.model_dump(), info.model_dump()
    return [(name, str(wanted[name]), str(running[name])) for name in wanted if wanted[name] != running[name]]


def console_router(services: Services, git: GitHistory, pages: Pages) -> APIRouter:
    """Now, Products, Data, Models and Releases."""
    router = APIRouter(dependencies=[ANYONE], default_response_class=HTMLResponse)

    @router.get("/")
    async def now() -> HTMLResponse:
        """What runs, against what Git says, and how well the model did."""
        (history, no_git), states, info = await asyncio.gather(
            _history(git), services.states(), services.get("forecast", "/model-info", ModelInfo)
        )
        release = history.live.release if history.live else None
        return pages.render(
            "now.html",
            {
                "page": "now",
                "history": history,
                "no_git": no_git,
                "states": states,
                "info": info,
                "differences": differences(release, info.value),
            },
        )

    @router.get("/products")
    async def products(search: Text = "", category: Text = "", cursor: Text = "") -> HTMLResponse:
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

    @router.get("/products/{product_id:path}")
    async def product(product_id: Name, request: Request) -> HTMLResponse:
        """One product: its forecast, and a decision by the numbers in the address."""
        forecast = await services.get("forecast", f"/forecast/{quote(product_id, safe='')}", Forecast)
        decision = await _decision(services, forecast.value, dict(request.query_params))
        stock = decision.value.stock if decision.value else None
        shown = stock.stock_units if stock and stock.cover_months == 1 else None  # the chart shows one month
        return pages.render(
            "product.html",
            {
                "page": "products",
                "product_id": product_id,
                "forecast": forecast,
                "decision": decision,
                "chart": demand_chart(forecast.value, shown) if forecast.value else None,
                "inputs": what_if.FIELDS,
                "given": request.query_params,
            },
            status=HTTPStatus.NOT_FOUND if forecast.status == HTTPStatus.NOT_FOUND else HTTPStatus.OK,
        )

    @router.get("/models")
    async def models() -> HTMLResponse:
        """Every model that was promoted, with what spoke for it."""
        history, no_git = await _history(git)
        return pages.render("models.html", {"page": "models", "history": history, "no_git": no_git})

    @router.get("/data")
    async def data() -> HTMLResponse:
        """What the quality gate says of the data that models learn from."""
        found = await services.get("forecast", "/data-quality", QualityReport)
        return pages.render(
            "data.html",
            {
                "page": "data",
                "found": found,
                "never": found.status == HTTPStatus.NOT_FOUND,
                "order": VERDICTS,
            },
        )

    @router.get("/releases")
    async def releases() -> HTMLResponse:
        """The deployment log."""
        history, no_git = await _history(git)
        return pages.render("releases.html", {"page": "releases", "history": history, "no_git": no_git})

    return router


async def _decision(
    services: Services, forecast: Forecast | None, parameters: dict[str, str]
) -> Answer[Decision]:
    """The decision for a forecast that is there; the decision service need not ask for it again."""
    if forecast is None:
        return Answer(None, 0, None)
    try:
        numbers = what_if.numbers_from(parameters)
    except what_if.NotANumber as error:
        return Answer(None, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    sent = DecisionRequest(forecast=forecast, economics=numbers)
    return await services.post("decision", "/decision", Decision, sent)


def static_router(static: Static) -> APIRouter:
    """The files that pages link to."""
    router = APIRouter(dependencies=[ANYONE])

    @router.get("/static/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        """A file by its name with digest."""
        found = static.get(name)
        if found is None:
            raise Problem(
                HTTPStatus.NOT_FOUND, "not-found", f"there is no file {name[:80]!r}; reload the page"
            )
        return found

    return router
