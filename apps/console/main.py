"""Builds and runs the console."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from apps.chassis.app import create_app
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.chassis.settings import LOCAL
from apps.console import alarms
from apps.console.bulk import Bulk
from apps.console.data_routes import data_router
from apps.console.export_routes import export_router
from apps.console.git_history import GitHistory
from apps.console.kept import Memory
from apps.console.model_routes import models_router
from apps.console.now_routes import now_router
from apps.console.pages import CONTENT_POLICY, Pages, Static
from apps.console.portfolio_routes import portfolio_router
from apps.console.problem_pages import add_problem_pages
from apps.console.product_routes import product_router
from apps.console.proposals import Proposals
from apps.console.release_centre import ReleaseCentre
from apps.console.release_routes import changing_router, reading_router
from apps.console.rendered import RenderedDiffs
from apps.console.routes import static_router
from apps.console.services import Services
from apps.console.sessions import Sessions
from apps.console.settings import ConsoleSettings
from apps.console.sign_in import SessionGuard
from apps.console.sign_in_routes import Door, provider_router, sign_in_router
from apps.console.sources import Sources
from apps.console.users import Users


def create(settings: ConsoleSettings) -> FastAPI:
    """The console's application; it is ready by itself, and its pages say what else is not."""
    memory, static, metrics = Memory(settings.page_seconds), Static(), Metrics()
    services, git = Services(settings, memory), GitHistory(settings, memory)
    sources = Sources(settings, services, git, memory)
    bulk = Bulk(settings)
    pages, centre = Pages(settings, static), ReleaseCentre(settings)
    diffs, proposals = RenderedDiffs(settings.repository, settings.environment, memory), Proposals(settings)
    users = Users(settings.users_file)
    key = settings.session_key.get_secret_value() if settings.session_key else None
    sessions = Sessions(
        key, settings.environment, secure=settings.environment != LOCAL, seconds=settings.session_seconds
    )
    guard = SessionGuard(sessions, users)
    door = Door(
        guard, pages, has_users=settings.users_file is not None, has_provider=settings.oidc_issuer is not None
    )
    ways_in, provider = [sign_in_router(door, users)], None
    if settings.oidc_issuer is not None:
        from apps.console.provider import Provider  # noqa: PLC0415 - its libraries cost 0.2 s and 20 MiB

        provider = Provider(settings, metrics.registry)
        ways_in.append(provider_router(door, provider))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services, bulk:
            keeping = asyncio.gather(centre.keep(), sources.keep(), git.keep())
            try:
                yield
            finally:
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping
                if provider is not None:
                    await provider.close()

    app = create_app(
        title="console",
        settings=settings,
        routers=[
            now_router(services, git, sources, centre, pages),
            product_router(services, pages),
            portfolio_router(bulk, services, pages),
            export_router(bulk),
            models_router(git, sources, settings, pages),
            data_router(services, git, sources, pages),
            changing_router(git, centre, proposals, pages),
            reading_router(git, centre, diffs, proposals, pages),
            *ways_in,
            alarms.alarms_router(services, pages),
            alarms.acting_router(services, pages),
            static_router(static),
        ],
        readiness={},
        metrics=metrics,
        lifespan=lifespan,
        guard=guard,
        content_policy=CONTENT_POLICY,
    )
    add_problem_pages(app, pages)
    return app


def main() -> None:
    """The process of the console."""
    run(ConsoleSettings, create)
