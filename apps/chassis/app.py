"""One way to build the application of a service."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from apps.chassis.access import require_declared
from apps.chassis.body_limit import BodyLimit
from apps.chassis.cors import Cors
from apps.chassis.edge import API_CONTENT_POLICY, Edge
from apps.chassis.errors import add_handlers
from apps.chassis.guard import Guard
from apps.chassis.handover import Lifespan, announcing, nothing_to_open
from apps.chassis.health import Check, health_router
from apps.chassis.metrics import Metrics
from apps.chassis.refusals import describe_refusals
from apps.chassis.settings import ServiceSettings

API_VERSION = "1"
_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False)


def create_app(
    *,
    title: str,
    settings: ServiceSettings,
    routers: Sequence[APIRouter],
    readiness: Mapping[str, Check],
    metrics: Metrics,
    lifespan: Lifespan = nothing_to_open,
    guard: Guard | None = None,
    browser_paths: Collection[str] = (),
    content_policy: str = API_CONTENT_POLICY,
    shortcuts: Sequence[Callable[[ASGIApp], ASGIApp]] = (),
) -> FastAPI:
    """An application with health, readiness, metrics, OpenAPI, problem details and the edge around it.

    Args:
        title: Name in the OpenAPI document.
        settings: Limits of the service; also `app.state.settings`.
        routers: The service's own routes; each declares who may call it.
        readiness: Named conditions of `/ready`.
        metrics: Where requests are counted; the service may have added metrics of its own.
        lifespan: What to open before the first request and close after the last.
        guard: Which credentials it takes; none without.
        browser_paths: Where pages of the origins of browser keys may post.
        content_policy: Content-Security-Policy of every answer.
        shortcuts: What is asked before the routes are; each passes on what it does not answer.

    Raises:
        UndeclaredAccess: A route does not say who may call it.
    """
    guard = guard or Guard()
    app = FastAPI(
        title=title,
        version=API_VERSION,
        lifespan=announcing(_closing(lifespan, guard), readiness, settings.ready_fd),
        docs_url=None,  # its page loads scripts from elsewhere, which the content policy forbids
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    app.state.settings, app.state.guard, app.state.draining = settings, guard, False
    for router in (
        *routers,
        health_router(readiness, metrics),
    ):  # the first match wins, so the busy ones first
        require_declared(router.routes, guard)
        app.include_router(router)
    add_handlers(app)
    describe_refusals(app)
    for shortcut in shortcuts:
        app.add_middleware(shortcut)
    app.add_middleware(BodyLimit, limit_bytes=settings.max_body_bytes)
    if guard.keys is not None and browser_paths:
        app.add_middleware(Cors, keys=guard.keys, paths=browser_paths)
    app.add_middleware(Edge, metrics=metrics, content_policy=content_policy)  # added last, so outermost
    return app


def _closing(lifespan: Lifespan, guard: Guard) -> Lifespan:
    """`lifespan`, after which the guard gives up its connections."""

    @asynccontextmanager
    async def closed(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app):
            try:
                yield
            finally:
                await guard.close()

    return closed
