"""Refusals as pages for browsers; programs get problem details, as from every service."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from apps.chassis.problems import Problem
from apps.console.pages import Pages


def add_problem_pages(app: FastAPI, pages: Pages) -> None:
    """Whoever accepts HTML gets a page with the problem's sentence, in the status and with the headers it has."""

    async def on_problem(request: Request, problem: Problem) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return problem.response()
        values = {"page": "problem", "status": problem.status_code, "detail": problem.detail}
        page = pages.render(request, "problem.html", values, problem.status_code)
        page.headers.update(problem.headers or {})
        return page

    app.exception_handler(Problem)(on_problem)
