"""Builds and runs the collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import Counter

from apps.chassis.app import create_app
from apps.chassis.keys import KeyRing
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.collector.intake import InboxWriter
from apps.collector.routes import EVENTS_PATH, events_router, script_router
from apps.collector.schemas import describe_forms
from apps.collector.settings import CollectorSettings


def create(settings: CollectorSettings) -> FastAPI:
    """The collector's application; the inbox opens with its first use, so a disk that comes back heals it.

    Raises:
        BadKeyFile: The file of API keys cannot be used.
        BadPseudonymKey: The key of the pseudonyms cannot be used.
    """
    metrics, inbox = Metrics(), InboxWriter(settings.inbox, create=settings.create_inbox)
    counted = Counter(
        "collector_events", "Events sent, by what became of them.", ["status"], registry=metrics.registry
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await inbox.close()

    keys = KeyRing(
        settings.environment,
        own=settings.api_key,
        source="collector",
        file=settings.keys_file,
        registry=metrics.registry,
    )
    app = create_app(
        title="collector",
        settings=settings,
        routers=[events_router(inbox, settings, counted), script_router()],
        readiness={"inbox": inbox.check},
        metrics=metrics,
        lifespan=lifespan,
        keys=keys,
        browser_paths=[EVENTS_PATH],
    )
    describe_forms(app)
    return app


def main() -> None:
    """The process of the collector."""
    run(CollectorSettings, create)
