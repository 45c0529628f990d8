"""What is said of the data that models learn from, and of how it changes."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from apps.chassis.access import READER
from apps.console.drift_chart import column_bars, sum_bars
from apps.console.git_history import GitHistory, history_of
from apps.console.pages import Pages
from apps.console.services import Services
from apps.console.sign_in import PageRoute
from apps.console.sources import Sources
from apps.forecast.schemas import DriftReport, QualityReport
from ml.model_store import DRAWN

VERDICTS = ("fail", "warn", "pass")
"""Checks are listed in this order, others at the end."""


def data_router(services: Services, git: GitHistory, sources: Sources, pages: Pages) -> APIRouter:
    """Data and Drift."""
    router = APIRouter(dependencies=[READER], route_class=PageRoute, default_response_class=HTMLResponse)

    @router.get("/data")
    async def data(request: Request) -> HTMLResponse:
        """What the quality gate says of the data that models learn from."""
        found = await services.get("forecast", "/data-quality", QualityReport)
        log, around = await git.read(), await sources.last()
        return pages.render(
            request,
            "data.html",
            {
                "page": "data",
                "found": found,
                "never": found.status == HTTPStatus.NOT_FOUND,
                "figures": around.figures,
                "evaluation": around.evaluation,
                "git": log,
                "live": history_of(log).live,
                "order": VERDICTS,
            },
        )

    @router.get("/drift")
    async def drift(request: Request) -> HTMLResponse:
        """What was last said of drift, and before."""
        found = await services.get("forecast", "/drift", DriftReport)
        parts = found.value.report.parts if found.value else None
        return pages.render(
            request,
            "drift.html",
            {
                "page": "drift",
                "found": found,
                "never": found.status == HTTPStatus.NOT_FOUND,
                "inputs": column_bars(parts.inputs.findings) if parts else None,
                "residuals": sum_bars(parts.residuals.charts) if parts else None,
                "has_store": sources.has_store,
                "drawn": DRAWN,
            },
        )

    @router.get("/drift/evidently.html")
    async def picture() -> Response:
        """Evidently's picture of the inputs, as a file: it holds scripts, which no page of the console may run."""
        data = await sources.drift_picture()
        headers = {
            "Content-Disposition": 'attachment; filename="evidently.html"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cache-Control": "no-store",
        }
        return Response(data, headers=headers, media_type="text/html")

    return router
