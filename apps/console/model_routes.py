"""The models that were promoted and those that wait, with what speaks for each."""

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from apps.chassis.access import READER
from apps.console.calibration_chart import pit_chart, reliability
from apps.console.git_history import GitHistory, history_of
from apps.console.pages import Pages
from apps.console.registered import Papers, Registered
from apps.console.settings import ConsoleSettings
from apps.console.sign_in import PageRoute
from apps.console.sources import Sources


def papers_of(registered: Registered) -> Callable[[str], Papers | None]:
    """The papers of a training by the number of its version, where they were read."""

    def papers(number: str) -> Papers | None:
        found = registered.find(int(number)) if number.isdecimal() else None
        return found.papers if found else None

    return papers


def models_router(git: GitHistory, sources: Sources, settings: ConsoleSettings, pages: Pages) -> APIRouter:
    """Models."""
    router = APIRouter(dependencies=[READER], route_class=PageRoute, default_response_class=HTMLResponse)

    @router.get("/models")
    async def models(request: Request) -> HTMLResponse:
        """Champion against challengers, then every model that was promoted, with what spoke for it."""
        kept, around = await git.read(), await sources.last()
        history, registered = history_of(kept), around.registered.value or Registered(())
        live = history.live.release.model_version if history.live else 0
        return pages.render(
            request,
            "models.html",
            {
                "page": "models",
                "history": history,
                "git": kept,
                "registered": around.registered,
                "waiting": [each for each in registered.versions if each.registered.version > live],
                "papers_of": papers_of(registered),
                "registry_page": settings.registry_page,
                "reliability": reliability,
                "pit_chart": pit_chart,
            },
        )

    return router
