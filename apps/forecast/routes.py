"""The routes of the forecast service."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from apps.chassis.access import ANYONE, CONTROLLER, READER, GuardedRoute
from apps.chassis.problems import Problem, shown
from apps.chassis.refusals import refusal
from apps.forecast.live import SentHistories, live_answers
from apps.forecast.schemas import (
    MAX_PAGE,
    CategoryForecast,
    CategoryForecasts,
    DriftReport,
    Forecast,
    ForecastPage,
    Forecasts,
    GroupForecast,
    ModelInfo,
    OpenMonth,
    OpenMonthLine,
    QualityReport,
    Reloaded,
)
from apps.forecast.served import Served
from apps.forecast.serving import Serving
from apps.forecast.shortcut import Ready
from apps.forecast.stored_report import StoredReport
from ml.events import TEXT_LENGTH, canonical_product_id
from ml.forecasting import encoded

JSON = "application/json"

Name = Annotated[str, Path(max_length=TEXT_LENGTH)]
Searched = Annotated[str, Query(max_length=TEXT_LENGTH)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


def _json(content: bytes, headers: Mapping[str, str]) -> Response:
    return Response(content, headers=headers, media_type=JSON)


def _array(answers: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(answers) + b"]"


def forecast_router(serving: Serving, served: Served) -> APIRouter:
    """Forecasts from the snapshot, and live ones for histories that are sent."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)
    turn = CapacityLimiter(1)  # one worker has one core; more threads would only make each answer slower

    @router.get("/forecast", response_model=ForecastPage)
    async def forecasts(
        category: Searched | None = None, search: Searched = "", cursor: Searched = "", limit: Limit = 100
    ) -> Response:
        """List forecasts by product id: of one category, with `search` in the id, after `cursor`."""
        loaded = serving.loaded
        ids = loaded.product_ids.get(category, ())
        if search:
            ids = [product_id for product_id in ids if search.strip().upper() in product_id]
        start = bisect_right(ids, cursor)
        page = ids[start : start + limit]
        following = page[-1] if start + limit < len(ids) else None
        served.listed(loaded, page)
        return _json(
            b'{"total":%d,"next_cursor":%b,"together":%b,"forecasts":%b}'
            % (
                len(ids),
                encoded(following),
                encoded(None if search else loaded.snapshot.group(category)),
                _array(loaded.told(loaded.snapshot.answers[name]) for name in page),
            ),
            loaded.headers,
        )

    @router.post("/forecast", response_model=Forecast | Forecasts)
    async def live(sent: SentHistories) -> Response:
        """Forecast the month after the caller's own history: one product, or an array of up to 1,000."""
        loaded, many = serving.loaded, isinstance(sent, list)
        histories = sent if isinstance(sent, list) else [sent]
        work = partial(live_answers, loaded, histories)
        answers = await run_sync(work, limiter=turn) if many else work()  # one takes less than a millisecond
        served.live(loaded, answers)
        told = list(map(loaded.told, answers))
        return _json(b'{"forecasts":%b}' % _array(told) if many else told[0], loaded.headers)

    # A product id may hold a slash, and a path is decoded before it is matched.
    @router.get("/forecast/{product_id:path}", response_model=Forecast)
    async def forecast(product_id: Name) -> Response:
        """Forecast one product from the snapshot."""
        loaded = serving.loaded
        answer = loaded.snapshot.get(product_id)
        served.asked(loaded, canonical_product_id(product_id))
        return _json(loaded.told(answer), loaded.headers)

    return router


def ready_forecast(serving: Serving, served: Served, product_id: str) -> Ready | None:
    """The answer and headers of `GET /forecast/{product_id}` where there is one, for `apps.forecast.shortcut`."""
    name, loaded = canonical_product_id(product_id), serving.now
    answer = None if loaded is None else loaded.snapshot.answers.get(name)
    if loaded is None or answer is None or len(product_id) > TEXT_LENGTH:
        return None
    return Ready(loaded.told(answer), loaded.raw_headers, partial(served.asked, loaded, name))


def category_router(serving: Serving) -> APIRouter:
    """Forecasts of whole categories."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)

    @router.get("/categories")
    async def categories() -> CategoryForecasts:
        """List every category's and the shop's demand; means add up, quantiles are drawn jointly."""
        loaded = serving.loaded
        snapshot = loaded.snapshot
        return CategoryForecasts(
            stale=loaded.stale,
            month=snapshot.month,
            data_version=snapshot.data_version,
            total=GroupForecast.model_validate(snapshot.total),
            categories=[
                CategoryForecast(category=name, **value) for name, value in snapshot.categories.items()
            ],
        )

    @router.get("/categories/{category:path}")
    async def category(category: Name) -> CategoryForecast:
        """Forecast one category."""
        loaded = serving.loaded
        found = loaded.snapshot.group(category)
        if found is None:
            detail = (
                f"category {shown(category)} has no product with a forecast; /categories lists those that do"
            )
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-category", detail)
        return CategoryForecast(category=category, stale=loaded.stale, **found)

    return router


def open_month_router(serving: Serving) -> APIRouter:
    """The month that is still open, apart from every forecast."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)

    @router.get("/nowcast")
    async def nowcast() -> OpenMonth:
        """Estimate the open month of the shop and its categories, as of the snapshot."""
        return OpenMonth.model_validate(serving.loaded.snapshot.nowcast)

    @router.get("/nowcast/{product_id:path}")
    async def product_nowcast(product_id: Name) -> OpenMonthLine:
        """Estimate the open month of one product, as of the snapshot."""
        said = serving.loaded.snapshot.nowcast
        line = said.get("products", {}).get(canonical_product_id(product_id))
        if line is None:
            why = said.get("unknown", "it was not sold in the months before")
            detail = f"product {shown(product_id)} has no nowcast: {why}"
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-nowcast", detail)
        return OpenMonthLine.model_validate(line)

    return router


def report_router(quality: StoredReport[QualityReport], drift: StoredReport[DriftReport]) -> APIRouter:
    """What was found in the data that models learn from, and in the newest month."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)

    @router.get("/data-quality", responses=refusal(404))
    async def data_quality() -> QualityReport:
        """Say what the quality gate last said of the data, check by check."""
        return await quality.newest()

    @router.get("/drift", responses=refusal(404))
    async def newest_drift() -> DriftReport:
        """Say what was last said of drift, and why."""
        return await drift.newest()

    return router


def model_router(serving: Serving) -> APIRouter:
    """What is served, and taking over what is newer."""
    router = APIRouter(route_class=GuardedRoute)

    @router.get("/model-info", dependencies=[ANYONE])
    async def model_info() -> ModelInfo:
        """Say which image, model and data answer here."""
        return serving.info

    @router.post("/reload", dependencies=[CONTROLLER])
    async def reload() -> Reloaded:
        """Take over a newer snapshot of the pinned model; when anything is wrong with it, nothing changes."""
        return Reloaded(changed=await serving.reload(), serving=serving.info)

    return router
