"""Files that pages link to."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from apps.chassis.access import ANYONE
from apps.chassis.problems import Problem
from apps.console.pages import Static


def static_router(static: Static) -> APIRouter:
    """The files that pages link to."""
    router = APIRouter(dependencies=[ANYONE])

    @router.get("/static/{name}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        """A file by its name with digest."""
        found = static.get(name, request.headers.get("accept-encoding", ""))
        if found is None:
            raise Problem(
                HTTPStatus.NOT_FOUND, "not-found", f"there is no file {name[:80]!r}; reload the page"
            )
        return found

    return router
