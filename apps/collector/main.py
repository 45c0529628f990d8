"""Builds and runs the collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from prometheus_client import Counter

from apps.chassis.app import create_app
from apps.chassis.guard import Guard, limits_of
from apps.chassis.keys import KeyRing
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.collector.inbox_writer import InboxWriter, Limits
from apps.collector.routes import EVENTS_PATH, events_router, script_router
from apps.collector.schemas import describe_forms
from apps.collector.settings import CollectorSettings
from ml.inbox_location import Password
from ml.open_inbox import open_inbox


def inbox_writer(settings: CollectorSettings) -> InboxWriter:
    """Into the inbox that the settings name; the store gives up first, so that its answer can be told in time."""
    seconds = settings.write_timeout_seconds
    opened = partial(
        open_inbox,
        settings.inbox,
        Password(settings.inbox_password, settings.inbox_password_file),
        create=settings.create_inbox,
        timeout_seconds=0.8 * seconds,
    )
    limits = Limits(settings.max_waiting_events, settings.max_waiting_bytes, 0.9 * seconds)
    return InboxWriter(opened, limits)


def create(settings: CollectorSettings) -> FastAPI:
    """The collector's application; the inbox opens with its first use, so a disk that comes back heals it.

    Raises:
        BadKeyFile: The file of API keys cannot be used.
        BadPseudonymKey: The key of the pseudonyms cannot be used.
    """
    metrics, inbox = Metrics(), inbox_writer(settings)
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
    limits = limits_of(settings, "collector", metrics.registry) if keys.has_file else None
    app = create_app(
        title="collector",
        settings=settings,
        routers=[events_router(inbox, settings, counted), script_router()],
        readiness={"inbox": inbox.check},
        metrics=metrics,
        lifespan=lifespan,
        guard=Guard(keys, limits=limits),
        browser_paths=[EVENTS_PATH],
    )
    describe_forms(app)
    return app


def main() -> None:
    """The process of the collector."""
    run(CollectorSettings, create)
