"""What stored forecasts were worth in months that are over, against a naive plan, by month and category."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml import metrics
from ml.decisions.demand import Demand
from ml.decisions.economics import Defaults
from ml.distribution import Floats
from ml.errors import NoDemand, SnapshotNotFound
from ml.forecast_table import QUANTILES, newest_forecasts
from ml.history import History
from ml.lake import Lake

SHOP: Final = "shop"


@dataclass(frozen=True)
class Costs:
    """What a unit too few and a unit too many cost, as shares of the unit's price.

    Attributes:
        short: Lost margin.
        left: Cost less salvage, and keeping it.
    """

    short: float
    left: float

    @classmethod
    def assumed(cls, of: Defaults | None = None) -> "Costs":
        """From the defaults of decisions, which a shop replaces by its own."""
        given = of or Defaults()
        cost = given.cost_share_of_price
        return cls(1 - cost, cost * (1 - given.salvage_share_of_cost + given.holding_share_of_cost))

    @property
    def ratio(self) -> float:
        """The critical ratio: the share of outcomes that the best stock covers (Arrow, Harris and Marschak 1951)."""
        return self.short / (self.short + self.left)


@dataclass(frozen=True)
class Plan:
    """How one plan did: units that were asked for and not there, units left over, and what both cost in cents."""

    stock_out_units: float
    overstock_units: float
    cost_cents: float


@dataclass(frozen=True)
class Impact:
    """One month, or all, of one category or the whole shop.

    Attributes:
        month: YYYY-MM, or `all`.
        category: Its name, or `shop`.
        products: How many forecasts.
        units: Sold.
        wape: Of the forecasts' means; None where nothing was sold.
        naive_wape: Of last month's units.
        forecast: Stock at the critical ratio of the forecast distribution, in whole units as decisions count them.
        naive: Stock as many as last month's units.
    """

    month: str
    category: str
    products: int
    units: float
    wape: float | None
    naive_wape: float | None
    forecast: Plan
    naive: Plan

    @property
    def value_added(self) -> float | None:
        """Forecast value added: by how much of the units sold the naive error is larger (Gilliland 2010)."""
        return None if self.wape is None or self.naive_wape is None else self.naive_wape - self.wape

    @property
    def avoided_cents(self) -> float:
        """Money that the naive plan would have cost more."""
        return self.naive.cost_cents - self.forecast.cost_cents


def outcomes(lake: Lake, history: History, costs: Costs) -> pl.DataFrame:
    """One row per product and month that was forecast and is over, by month: what came, and both plans.

    Of several forecasts of a month the newest counts. Sales stand for demand: what nobody could buy is not in them.

    Returns:
        `month` (YYYY-MM), `product_id`, `category`, `mean` of the forecast, `naive` and `stock` (units of both plans),
        `actual` (units sold), `price` (cents, the last one known before the month).

    Raises:
        SnapshotNotFound: No month that was forecast is over.
    """
    newest: dict[str, pl.DataFrame] = {}
    for forecasts in newest_forecasts(lake, [str(month) for month in history.months[1:]]):
        month = str(forecasts["month"][0])
        if month not in newest or forecasts["created_at"][0] > newest[month]["created_at"][0]:
            newest[month] = forecasts
    rows = [_rows(forecasts, history, costs) for _, forecasts in sorted(newest.items())]
    whole = pl.concat(rows) if rows else pl.DataFrame()
    if whole.is_empty():
        raise SnapshotNotFound("no month that was forecast is over; come back when one is")
    return whole


def impacts(whole: pl.DataFrame, costs: Costs) -> list[Impact]:
    """Every month of `outcomes`: the shop first, then its categories; all months together at the end."""
    parts = [*whole.partition_by("month", maintain_order=True), whole.with_columns(month=pl.lit("all"))]
    return [found for part in parts for found in _of_month(part, costs)]


def _rows(forecasts: pl.DataFrame, history: History, costs: Costs) -> pl.DataFrame:
    """One row per product with a known outcome: what came, both plans, and the price known before."""
    month = str(forecasts["month"][0])
    t = int((np.datetime64(month, "M") - history.months[0]).astype(np.int64))
    position = {product: row for row, product in enumerate(history.product_ids)}
    known = [p for p, row in position.items() if np.isfinite(history.units[row, t])]
    told = forecasts.filter(pl.col("product_id").is_in(known))
    rows = np.array([position[product] for product in told["product_id"]], dtype=np.intp)
    stock = [each.quantile(costs.ratio) for each in Demand.from_quantiles(told.select(QUANTILES).to_numpy())]
    return told.select(
        "month", "product_id", "category", "mean", naive=pl.col("last_month_units")
    ).with_columns(
        actual=pl.Series(history.units[rows, t], dtype=pl.Float64),
        stock=pl.Series(stock, dtype=pl.Float64),
        price=pl.Series(_last_price(history, rows, t), dtype=pl.Float64),
    )


def _last_price(history: History, rows: NDArray[np.intp], t: int) -> Floats:
    """Cents, the last one known before month index `t`; the shop's median for products without any."""
    past = history.price_cents[rows, :t]
    there = np.isfinite(past)
    last = past.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    usual = float(np.median(past[there])) if there.any() else 0.0
    found: Floats = np.where(there.any(axis=1), past[np.arange(len(past)), last], usual)
    return found


def _of_month(rows: pl.DataFrame, costs: Costs) -> list[Impact]:
    parts = sorted(rows.partition_by("category"), key=lambda part: str(part["category"][0]))
    return [_impact(rows, SHOP, costs), *(_impact(part, str(part["category"][0]), costs) for part in parts)]


def _impact(rows: pl.DataFrame, category: str, costs: Costs) -> Impact:
    actual, price = rows["actual"].to_numpy(), rows["price"].to_numpy()
    return Impact(
        month=str(rows["month"][0]),
        category=category,
        products=rows.height,
        units=float(actual.sum()),
        wape=_wape(actual, rows["mean"].to_numpy()),
        naive_wape=_wape(actual, rows["naive"].to_numpy()),
        forecast=_plan(actual, rows["stock"].to_numpy(), price, costs),
        naive=_plan(actual, rows["naive"].to_numpy(), price, costs),
    )


def _plan(actual: Floats, stock: Floats, price: Floats, costs: Costs) -> Plan:
    short, left = np.maximum(actual - stock, 0.0), np.maximum(stock - actual, 0.0)
    cost = float(price @ (costs.short * short + costs.left * left))
    return Plan(float(short.sum()), float(left.sum()), cost)


def _wape(actual: Floats, forecast: Floats) -> float | None:
    try:
        return metrics.wape(actual, forecast)
    except NoDemand:
        return None
