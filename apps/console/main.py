"""Builds and runs the console."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from apps.chassis.app import create_app
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.console.git_history import GitHistory
from apps.console.pages import CONTENT_POLICY, Pages, Static
from apps.console.routes import console_router, static_router
from apps.console.services import Services
from apps.console.settings import ConsoleSettings


def create(settings: ConsoleSettings) -> FastAPI:
    """The console's application; it is ready by itself, and its pages say what else is not."""
    services, static = Services(settings), Static()
    pages = Pages(settings, static)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services:
            yield

    return create_app(
        title="console",
        settings=settings,
        routers=[console_router(services, GitHistory(settings), pages), static_router(static)],
        readiness={},
        metrics=Metrics(),
        lifespan=lifespan,
        content_policy=CONTENT_POLICY,
    )


def main() -> None:
    """The process of the console."""
    run(ConsoleSettings, create)
