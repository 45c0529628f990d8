"""Builds and runs the decision service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from apps.chassis.app import create_app
from apps.chassis.guard import guard_of
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.decision.forecast_client import ForecastClient
from apps.decision.routes import decision_router
from apps.decision.settings import DecisionSettings


def create(settings: DecisionSettings) -> FastAPI:
    """The decision service's application.

    It is ready without its forecast service: a hiccup there would otherwise take every decision pod out at
    once, and a decision for a sent forecast needs none.

    Raises:
        BadKeyFile: The file of API keys cannot be used.
    """
    metrics = Metrics()
    forecasts = ForecastClient(settings, metrics.registry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with forecasts:
            yield

    return create_app(
        title="decision",
        settings=settings,
        routers=[decision_router(forecasts, settings.defaults)],
        readiness={},
        metrics=metrics,
        lifespan=lifespan,
        guard=guard_of(settings, "decision", metrics.registry),
    )


def main() -> None:
    """The process of the decision service."""
    run(DecisionSettings, create)
