"""Builds and runs the forecast service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import create_task_group
from anyio.to_thread import run_sync
from fastapi import FastAPI

from apps.chassis.app import create_app
from apps.chassis.guard import guard_of
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.forecast.drift_metrics import DriftMetrics
from apps.forecast.figures import DeliveryMetrics, EvaluationMetrics
from apps.forecast.level import tell_level
from apps.forecast.report_metrics import ReportMetrics, keep_told
from apps.forecast.routes import (
    category_router,
    forecast_router,
    model_router,
    open_month_router,
    ready_forecast,
    report_router,
)
from apps.forecast.served import Served
from apps.forecast.serving import Serving
from apps.forecast.settings import ForecastSettings
from apps.forecast.shadow import Mirror, Shadow
from apps.forecast.shortcut import Shortcut
from apps.forecast.stored_past import past_router
from apps.forecast.stored_report import (
    delivery_reports,
    drift_reports,
    evaluation_reports,
    quality_reports,
)


def create(settings: ForecastSettings) -> FastAPI:
    """The forecast service's application; it loads its model before its first request.

    Raises:
        BadKeyFile: The file of API keys cannot be used.
    """
    metrics = Metrics()
    serving, served = Serving(settings, metrics.registry), Served(settings, metrics.registry)
    tell_level(serving, metrics.registry)
    shadow = Shadow(settings, metrics.registry) if settings.shadow_url else None
    drift = drift_reports(settings.model_store)
    reports = (
        ReportMetrics(drift, DriftMetrics(metrics.registry).tell),
        ReportMetrics(evaluation_reports(settings.model_store), EvaluationMetrics(metrics.registry).tell),
        ReportMetrics(delivery_reports(settings.model_store), DeliveryMetrics(metrics.registry).tell),
    )
    forecasts = forecast_router(serving, served)
    product = partial(
        Shortcut,
        prefix="/forecast/",
        template="/forecast/{product_id}",
        find=partial(ready_forecast, serving, served),
        routes=forecasts.routes,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.load()
        if shadow:
            shadow.start()
        async with create_task_group() as background:
            background.start_soon(serving.keep_fresh)
            background.start_soon(keep_told, reports, settings.refresh_seconds)
            background.start_soon(served.write_again_and_again)
            yield
            background.cancel_scope.cancel()
        if shadow:
            await run_sync(shadow.stop)
        await served.write()

    return create_app(
        title="forecast",
        settings=settings,
        routers=[
            forecasts,
            category_router(serving),
            open_month_router(serving),
            past_router(serving, settings),
            report_router(quality_reports(settings.model_store), drift),
            model_router(serving),
        ],
        readiness={"model": serving.check_model, "snapshot": serving.check_snapshot},
        metrics=metrics,
        lifespan=lifespan,
        guard=guard_of(settings, "forecast", metrics.registry, own=settings.api_key),
        shortcuts=[product, *([partial(Mirror, shadow=shadow)] if shadow else [])],
    )


def main() -> None:
    """The process of the forecast service."""
    run(ForecastSettings, create)
