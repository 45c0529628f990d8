"""One budget for the orders of many products: the form, what to order first, and the same as a file."""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from apps.chassis.access import READER
from apps.chassis.problems import Problem
from apps.console.bulk import Bulk
from apps.console.csv_files import Cell, csv_file
from apps.console.pages import Pages
from apps.console.portfolio_form import BadLine, portfolio_request
from apps.console.services import Services
from apps.console.sign_in import PageRoute
from apps.console.what_if import NotANumber
from apps.decision.schemas import Portfolio
from apps.forecast.schemas import CategoryForecasts

SHOWN = 100
"""Rows of a table of the page; the file has all."""

COLUMNS = ("list", "product_id", "units", "cost_cents", "expected_gain_cents", "gain_per_cent", "reason")


def portfolio_router(bulk: Bulk, services: Services, pages: Pages) -> APIRouter:
    """Nothing is ordered here; the forms only ask."""
    router = APIRouter(dependencies=[READER], route_class=PageRoute)

    async def page(
        request: Request,
        given: Mapping[str, str],
        status: HTTPStatus = HTTPStatus.OK,
        *,
        plan: Portfolio | None = None,
        wrong: NotANumber | BadLine | None = None,
        refused: str | None = None,
    ) -> HTMLResponse:
        categories = await services.get("forecast", "/categories", CategoryForecasts)
        values: dict[str, Any] = {
            "page": "portfolio",
            "given": given,
            "categories": categories,
            "plan": plan,
            "orders": _first(plan)[:SHOWN] if plan else [],
            "shown": SHOWN,
            "wrong": wrong,
            "refused": refused,
        }
        return pages.render(request, "portfolio.html", values, status)

    @router.get("/portfolio", response_class=HTMLResponse)
    async def form(request: Request) -> Response:
        """The form."""
        return await page(request, {})

    @router.post("/portfolio", response_class=HTMLResponse)
    async def portfolio(request: Request) -> Response:
        """What to order under the budget, and what the next units would add."""
        given = request.state.form
        try:
            plan = await bulk.portfolio(portfolio_request(given, pages.language(request)))
        except (NotANumber, BadLine) as error:
            return await page(request, given, HTTPStatus.UNPROCESSABLE_ENTITY, wrong=error)
        except Problem as problem:
            return await page(request, given, refused=problem.detail)
        return await page(request, given, plan=plan)

    @router.post("/portfolio.csv")
    async def exported(request: Request) -> Response:
        """The same as a file: orders, the units that come next, and what was left out."""
        try:
            plan = await bulk.portfolio(portfolio_request(request.state.form, pages.language(request)))
        except (NotANumber, BadLine) as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-form", str(error)) from error

        async def rows() -> AsyncIterator[list[list[Cell]]]:
            yield _rows(plan)

        return await csv_file("portfolio.csv", COLUMNS, rows())

    return router


def _first(plan: Portfolio) -> list[Any]:
    """Orders, those first that add most."""
    return sorted(plan.orders, key=lambda order: (-order.expected_gain_cents, order.product_id))


def _rows(plan: Portfolio) -> list[list[Cell]]:
    orders: list[list[Cell]] = [
        ["order", each.product_id, each.order_units, each.cost_cents, each.expected_gain_cents, None, None]
        for each in _first(plan)
    ]
    following: list[list[Cell]] = [
        [
            *("next", each.product_id, each.units, each.cost_cents),
            *(each.expected_gain_cents, each.gain_per_cent, None),
        ]
        for each in plan.next_units
    ]
    rest: list[list[Cell]] = [
        ["left_out", each.product_id, None, None, None, None, each.reason] for each in plan.left_out
    ]
    return [*orders, *following, *rest]
