"""The first page: what runs where, what is wrong, and how well it goes."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from apps.chassis.access import READER
from apps.console.deployments import Release
from apps.console.figures import Reported
from apps.console.git_history import GitHistory, history_of
from apps.console.kpis import past_of
from apps.console.matrix import matrix
from apps.console.pages import Pages
from apps.console.release_centre import ReleaseCentre
from apps.console.services import Services
from apps.console.sign_in import PageRoute
from apps.console.sources import Sources
from apps.forecast.schemas import DriftReport, ModelInfo


def differences(release: Release | None, info: ModelInfo | None) -> list[tuple[str, str, str]] | None:
    """(name, in Git, running) of what differs; None where one side is not known."""
    if release is None or info is None:
        return None
    wanted, running = release.model_dump(), info.model_dump()
    return [(name, str(wanted[name]), str(running[name])) for name in wanted if wanted[name] != running[name]]


def now_router(
    services: Services, git: GitHistory, sources: Sources, centre: ReleaseCentre, pages: Pages
) -> APIRouter:
    """Now."""
    router = APIRouter(dependencies=[READER], route_class=PageRoute, default_response_class=HTMLResponse)

    @router.get("/")
    async def now(request: Request) -> HTMLResponse:
        """What runs, against what Git says, what fires, and how well the model did."""
        log, info, drift, around = await asyncio.gather(
            git.read(),
            services.get("forecast", "/model-info", ModelInfo),
            services.get("forecast", "/drift", DriftReport),
            sources.last(),
        )
        history, here = history_of(log), pages.environment
        release = history.live.release if history.live else None
        return pages.render(
            request,
            "now.html",
            {
                "page": "now",
                "follows": True,
                "history": history,
                "git": log,
                "info": info,
                "drift": drift,
                "around": around,
                "centre": centre.now,
                "differences": differences(release, info.value),
                "rows": matrix(
                    log.value.environments if log.value else (),
                    around.argo.value or {},
                    _reported(
                        around.figures.value.reported if around.figures.value else (), info.value, here
                    ),
                    here,
                ),
                "past": past_of(around.evaluation.value, release.model_version if release else 0),
            },
        )

    return router


def _reported(found: tuple[Reported, ...], info: ModelInfo | None, here: str) -> tuple[Reported, ...]:
    """What pods report by their metrics; of this environment at least what the one says that was asked."""
    if info is None or any(each.environment == here for each in found):
        return found
    said = Release.model_validate(info.model_dump(include=set(Release.model_fields)))
    return (*found, Reported(here, said, 1))
