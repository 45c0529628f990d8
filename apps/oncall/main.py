"""Builds and runs the on-call service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from anyio.to_thread import run_sync
from fastapi import FastAPI

from apps.chassis.app import create_app
from apps.chassis.guard import guard_of
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.oncall.book import Book
from apps.oncall.database import Database
from apps.oncall.measures import Measures
from apps.oncall.rota_file import RotaFile
from apps.oncall.routes import acting_router, alerts_router, reading_router
from apps.oncall.senders import senders
from apps.oncall.settings import OncallSettings
from apps.oncall.tables import LEASE
from apps.oncall.worker import Worker
from ml.errors import StoreUnavailable
from ml.inbox_location import Password


def create(settings: OncallSettings) -> FastAPI:
    """The application; the database opens with its first use, so one that comes back heals it.

    Raises:
        BadRota: The rota cannot be used.
        BadKeyFile: The file of API keys cannot be used.
    """
    metrics = Metrics()
    measures = Measures(metrics.registry)
    database = Database(
        settings.database,
        Password(settings.database_password, settings.database_password_file),
        timeout_seconds=settings.database_timeout_seconds,
    )
    book = Book(database, RotaFile(settings.rota, measures.rota_refused), settings)
    worker = Worker(book, senders(settings), measures)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_sync(_asked, database)  # migrations take longer than a question about readiness may
        worker.start()
        yield
        await run_sync(worker.stop)
        database.close()

    async def database_answers() -> str | None:
        return await run_sync(_asked, database, abandon_on_cancel=True)

    return create_app(
        title="on-call",
        settings=settings,
        routers=[alerts_router(book), reading_router(book), acting_router(book)],
        readiness={"database": database_answers},
        metrics=metrics,
        lifespan=lifespan,
        guard=guard_of(settings, "oncall", metrics.registry, own=settings.api_key),
    )


def _asked(database: Database) -> str | None:
    try:
        with database.reading() as connection:
            connection.execute(sa.select(LEASE.c.name).limit(1))
    except StoreUnavailable as error:
        return str(error)
    return None


def main() -> None:
    """The process of the on-call service."""
    run(OncallSettings, create)
