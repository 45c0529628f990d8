"""One way to build the application of a service."""

from collections.abc import Callable, Collection, Mapping, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from pydantic import SecretStr
from starlette.types import ASGIApp

from apps.chassis.access import require_declared
from apps.chassis.body_limit import BodyLimit
from apps.chassis.cors import Cors
from apps.chassis.edge import API_CONTENT_POLICY, Edge
from apps.chassis.errors import add_handlers
from apps.chassis.handover import Lifespan, announcing, nothing_to_open
from apps.chassis.health import Check, health_router
from apps.chassis.keys import KeyRing
from apps.chassis.metrics import Metrics
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
    api_key: SecretStr | None = None,
    keys: KeyRing | None = None,
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
        api_key: What `KEY_HOLDER` routes ask for, where there is but this one key.
        keys: What they ask for, where there are more.
        browser_paths: Where pages of the origins of browser keys may post.
        content_policy: Content-Security-Policy of every answer.
        shortcuts: What is asked before the routes are; each passes on what it does not answer.

    Raises:
        UndeclaredAccess: A route does not say who may call it.
    """
    app = FastAPI(
        title=title,
        version=API_VERSION,
        lifespan=announcing(lifespan, readiness, settings.ready_fd),
        docs_url=None,  # its page loads scripts from elsewhere, which the content policy forbids
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    ring = keys or (None if api_key is None else KeyRing(own=api_key))
    app.state.settings, app.state.keys, app.state.draining = settings, ring, False
    for router in (
        *routers,
        health_router(readiness, metrics),
    ):  # the first match wins, so the busy ones first
        require_declared(router.routes, ring)
        app.include_router(router)
    add_handlers(app)
    for shortcut in shortcuts:
        app.add_middleware(shortcut)
    app.add_middleware(BodyLimit, limit_bytes=settings.max_body_bytes)
    if ring is not None and browser_paths:
        app.add_middleware(Cors, keys=ring, paths=browser_paths)
    app.add_middleware(Edge, metrics=metrics, content_policy=content_policy)  # added last, so outermost
    return app
