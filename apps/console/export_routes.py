"""Products, forecasts and decisions as CSV; none of the files is ever held whole."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from apps.chassis.access import READER
from apps.console.bulk import Bulk
from apps.console.csv_files import Cell, csv_file
from apps.console.sign_in import PageRoute
from apps.decision.schemas import Decision
from apps.forecast.schemas import Forecast
from ml.events import TEXT_LENGTH

QUANTILES = ("0.05", "0.10", "0.25", "0.50", "0.75", "0.90", "0.95", "0.99")
ORIGIN = ("model_version", "model_sha256", "data_version")
PRODUCT = ("product_id", "category", "demand_class", "history_months", "last_month_units", "price_cents")
FORECAST = ("product_id", "category", "month", "mean")
SHARES = ("probability_of_increase", "volatility", "confidence")
DECISION = (
    *("product_id", "category", "month", "order_units", "stock_units", "available_units"),
    *("sellout_probability", "risk", "advertising_cents", "advertising_now_cents"),
    *("profit_low_cents", "profit_expected_cents", "profit_high_cents", "reason", "reason_tr", *ORIGIN),
)

Text = Annotated[str, Query(max_length=TEXT_LENGTH)]
Rows = AsyncIterator[Iterable[Sequence[Cell]]]


def export_router(bulk: Bulk) -> APIRouter:
    """Files of what the list of products shows: of a search, of a category or of all."""
    router = APIRouter(prefix="/exports", dependencies=[READER], route_class=PageRoute)
    turn = CapacityLimiter(1)  # a decision takes the decision service milliseconds, all of them minutes

    @router.get("/products.csv")
    async def products(search: Text = "", category: Text = "") -> StreamingResponse:
        """What is known of each product."""
        rows = _rows(bulk.forecasts(search, category), _product)
        return await csv_file("products.csv", PRODUCT, rows)

    @router.get("/forecasts.csv")
    async def forecasts(search: Text = "", category: Text = "") -> StreamingResponse:
        """The forecast of each product; `p05` and so on are units at that share of outcomes."""
        rows = _rows(bulk.forecasts(search, category), _forecast)
        columns = [*FORECAST, *(f"p{name[2:]}" for name in QUANTILES), *SHARES, *ORIGIN]
        return await csv_file("forecasts.csv", columns, rows)

    @router.get("/decisions.csv")
    async def decisions(search: Text = "", category: Text = "") -> StreamingResponse:
        """The decision on each product by the shop's usual numbers; files of decisions are made one at a time."""

        async def rows() -> Rows:
            async for page in bulk.forecasts(search, category):
                for each in page:
                    async with turn:
                        made = await bulk.decision(each)
                    yield [_decision(made)]

        return await csv_file("decisions.csv", DECISION, rows())

    return router


async def _rows(pages: AsyncIterator[list[Forecast]], row: Callable[[Forecast], list[Cell]]) -> Rows:
    async for page in pages:
        yield [row(each) for each in page]


def _product(each: Forecast) -> list[Cell]:
    return [getattr(each, name) for name in PRODUCT]


def _forecast(each: Forecast) -> list[Cell]:
    units = (each.quantiles.get(name) for name in QUANTILES)
    return [
        *(getattr(each, name) for name in FORECAST),
        *units,
        *(getattr(each, name) for name in (*SHARES, *ORIGIN)),
    ]


def _decision(made: Decision) -> list[Cell]:
    stock, advertising, outcomes = made.stock, made.advertising, made.scenarios
    return [
        *(made.product_id, made.category, made.month),
        *(stock.order_units, stock.stock_units, stock.available_units, stock.sellout_probability),
        *(made.risk.level, advertising.spend_cents, advertising.now_cents),
        *(outcomes[name].profit_cents for name in ("low", "expected", "high")),
        *(made.reason, made.reason_tr),
        *(getattr(made, name) for name in ORIGIN),
    ]
