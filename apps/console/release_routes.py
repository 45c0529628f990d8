"""The release centre: what came when, why and by whom, and the way to the next pull request."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from apps.chassis.access import CONTROLLER, READER
from apps.chassis.problems import Problem, unavailable
from apps.console.deployments import Deployment
from apps.console.git_history import GitHistory, history_of
from apps.console.kept import begin_page
from apps.console.pages import Pages
from apps.console.proposals import Outcome, Proposals
from apps.console.release_centre import ReleaseCentre
from apps.console.rendered import RenderedDiffs
from apps.console.sign_in import PageRoute
from scripts.release_file import Release

MOST_CHARACTERS = 1_000
"""Of a reason, as `scripts.evidence.record.Line` has it."""

Commit = Annotated[str, Path(pattern="^[0-9a-f]{40}$")]
Number = Annotated[int | None, Query(ge=1)]


def reading_router(
    git: GitHistory, centre: ReleaseCentre, diffs: RenderedDiffs, proposals: Proposals, pages: Pages
) -> APIRouter:
    """The log, one release of it, and the audit as a file."""
    router = APIRouter(dependencies=[READER], route_class=PageRoute, default_response_class=HTMLResponse)

    @router.get("/releases")
    async def releases(request: Request, proposed: Number = None) -> HTMLResponse:
        """The deployment log, what is on its way, and how it goes."""
        kept = await git.read()
        values = {
            "page": "releases",
            "history": history_of(kept),
            "git": kept,
            "centre": centre.now,
            "possible": proposals.possible,
            "proposed": proposed,
        }
        return pages.render(request, "releases.html", values)

    @router.get("/releases/audit.json")
    async def exported() -> Response:
        """The newest audit, with the digest that shows whether it was edited."""
        found = centre.now.audit
        if found.value is None:
            raise unavailable("no-audit", found.problem or "the audit is being made; ask again")
        name = f"audit-{found.value.environment}-{found.value.checked_until[:12]}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return pages.json(found.value.to_json(), headers)

    @router.get("/releases/commits/{commit}")
    async def release(request: Request, commit: Commit) -> HTMLResponse:
        """One release: who, why, evidence and what it changed in the cluster."""
        history = history_of(await git.read())
        found = next((each for each in history.deployments if each.commit == commit), None)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "no-release", f"commit {commit[:12]} changed no release here")
        diff = await diffs.of(commit) if found.before else None
        values = {"page": "releases", "deployment": found, "live": found is history.live, "diff": diff}
        return pages.render(request, "release.html", values)

    return router


def changing_router(git: GitHistory, centre: ReleaseCentre, proposals: Proposals, pages: Pages) -> APIRouter:
    """Pull requests: back to the release before, or on to the next. Nobody approves or merges one here."""
    router = APIRouter(dependencies=[CONTROLLER], route_class=PageRoute, default_response_class=HTMLResponse)

    async def form(
        request: Request, kind: str, outcome: Outcome | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        begin_page()
        kept = await git.read()
        values = {
            "page": "releases",
            "kind": kind,
            "live": history_of(kept).live,
            "git": kept,
            "centre": centre.now,
            "possible": proposals.possible,
            "outcome": outcome,
            "given": getattr(request.state, "form", {}),
            "most": MOST_CHARACTERS,
        }
        return pages.render(request, "propose.html", values, status)

    async def answered(request: Request, kind: str, outcome: Outcome) -> Response:
        await centre.refresh()
        if outcome.pull_request is not None:
            address = f"/releases?proposed={outcome.pull_request}"
            return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
        status = HTTPStatus.CONFLICT if outcome.refused or outcome.action else HTTPStatus.SERVICE_UNAVAILABLE
        return await form(request, kind, outcome, status)

    @router.get("/releases/roll-back")
    async def way_back(request: Request) -> Response:
        """What would come back, and the reason that is needed."""
        return await form(request, "rollback")

    @router.post("/releases/roll-back")
    async def roll_back(request: Request) -> Response:
        """Open the pull request, or find the one that is open already."""
        given = request.state.form
        history = history_of(await git.read())
        reason = given.get("reason", "").strip()
        if not reason or len(reason) > MOST_CHARACTERS:
            return await form(
                request, "rollback", Outcome(reason="no_reason"), HTTPStatus.UNPROCESSABLE_ENTITY
            )
        if history.live is None or given.get("of") != history.live.commit:
            outcome = Outcome(reason="release_changed", refused=True)
            return await form(request, "rollback", outcome, HTTPStatus.CONFLICT)
        outcome = await proposals.roll_back(request.scope["person"], reason, _release(history.live))
        return await answered(request, "rollback", outcome)

    @router.get("/releases/promote")
    async def way_on(request: Request) -> Response:
        """What could come next."""
        return await form(request, "promotion")

    @router.post("/releases/promote")
    async def promote(request: Request) -> Response:
        """Open the pull request, or find the one that is open already."""
        given = request.state.form
        model, image_tag = (given.get(name, "").strip()[:128] or None for name in ("model", "image_tag"))
        outcome = await proposals.promote(request.scope["person"], model, image_tag)
        return await answered(request, "promotion", outcome)

    return router


def _release(deployment: Deployment) -> Release:
    return Release.model_validate(deployment.release.model_dump())
