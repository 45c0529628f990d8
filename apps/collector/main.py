"""Builds and runs the collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from prometheus_client import Counter

from apps.chassis.app import create_app
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.collector.inbox_writer import InboxWriter, Limits
from apps.collector.routes import events_router
from apps.collector.settings import CollectorSettings
from ml.inbox_location import Password
from ml.open_inbox import open_inbox


def inbox_writer(settings: CollectorSettings) -> InboxWriter:
    """Into the inbox that the settings name; the store gives up first, so that its answer can be told."""
    seconds = settings.write_timeout_seconds
    opened = partial(
        open_inbox,
        settings.inbox,
        Password(settings.inbox_password, settings.inbox_password_file),
        create=settings.create_inbox,
        timeout_seconds=0.8 * seconds,
    )
    return InboxWriter(opened, Limits(settings.max_waiting_events, settings.max_waiting_bytes, seconds))


def create(settings: CollectorSettings) -> FastAPI:
    """The collector's application; the inbox opens with its first use, so a disk that comes back heals it."""
    metrics, inbox = Metrics(), inbox_writer(settings)
    counted = Counter(
        "collector_events", "Events sent, by what became of them.", ["status"], registry=metrics.registry
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await inbox.close()

    return create_app(
        title="collector",
        settings=settings,
        routers=[events_router(inbox, settings, counted)],
        readiness={"inbox": inbox.check},
        metrics=metrics,
        lifespan=lifespan,
        api_key=settings.api_key,
    )


def main() -> None:
    """The process of the collector."""
    run(CollectorSettings, create)
