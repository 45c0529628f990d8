"""The three routes every service has: alive, ready, metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, PlainTextResponse, Response

from apps.chassis.access import ANYONE
from apps.chassis.metrics import Metrics

CHECK_TIMEOUT_SECONDS = 1.0

Check = Callable[[], Awaitable[str | None]]
"""Answers None when all is well, else one sentence on what is missing."""


class Health(BaseModel):
    """The process answers; nothing else was looked at."""

    status: str = "ok"


class CheckResult(BaseModel):
    """One named condition of being ready."""

    ready: bool
    detail: str | None = None


class Readiness(BaseModel):
    """Whether requests should come here, and each condition by name."""

    ready: bool
    checks: dict[str, CheckResult]


async def _result(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            detail = await check()
    except TimeoutError:
        detail = f"no answer within {CHECK_TIMEOUT_SECONDS:g} s"
    return CheckResult(ready=detail is None, detail=detail)


async def readiness_of(checks: Mapping[str, Check]) -> Readiness:
    """Every check, asked at the same time; one that hangs counts as failed."""
    results = await asyncio.gather(*(_result(check) for check in checks.values()))
    return Readiness(
        ready=all(result.ready for result in results), checks=dict(zip(checks, results, strict=True))
    )


def health_router(checks: Mapping[str, Check], metrics: Metrics) -> APIRouter:
    """`/health`, `/ready` and `/metrics` over the given checks and metrics."""
    router = APIRouter(dependencies=[ANYONE])

    @router.get("/health")
    async def health() -> Health:
        """Alive: looks at nothing but itself."""
        return Health()

    @router.get("/ready", response_model=Readiness, responses={503: {"model": Readiness}})
    async def ready(request: Request) -> Response:
        """Ready: 200 when every check passes and the process is not ending, else 503; both name the checks."""
        answer = await readiness_of(checks)
        if request.app.state.draining:
            ending = CheckResult(ready=False, detail="the process is ending")
            answer = Readiness(ready=False, checks={**answer.checks, "draining": ending})
        status = HTTPStatus.OK if answer.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(answer.model_dump(), status)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def exposition() -> Response:
        """Prometheus text."""
        return metrics.response()

    return router
