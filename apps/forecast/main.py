"""Builds and runs the forecast service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import create_task_group
from fastapi import FastAPI

from apps.chassis.app import create_app
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.forecast.routes import (
    category_router,
    forecast_router,
    model_router,
    open_month_router,
    ready_forecast,
)
from apps.forecast.served import Served
from apps.forecast.serving import Serving
from apps.forecast.settings import ForecastSettings
from apps.forecast.shortcut import Shortcut


def create(settings: ForecastSettings) -> FastAPI:
    """The forecast service's application; it loads its model before its first request."""
    metrics = Metrics()
    serving, served = Serving(settings, metrics.registry), Served(settings, metrics.registry)
    forecasts = forecast_router(serving, served)
    product = partial(
        Shortcut,
        prefix="/forecast/",
        template="/forecast/{product_id}",
        ready=partial(ready_forecast, serving, served),
        routes=forecasts.routes,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.load()
        async with create_task_group() as background:
            background.start_soon(serving.keep_fresh)
            background.start_soon(served.write_again_and_again)
            yield
            background.cancel_scope.cancel()
        await served.write()

    return create_app(
        title="forecast",
        settings=settings,
        routers=[
            forecasts,
            category_router(serving),
            open_month_router(serving),
            model_router(serving),
        ],
        readiness={"model": serving.check_model, "snapshot": serving.check_snapshot},
        metrics=metrics,
        lifespan=lifespan,
        api_key=settings.api_key,
        shortcuts=[product],
    )


def main() -> None:
    """The process of the forecast service."""
    run(ForecastSettings, create)
