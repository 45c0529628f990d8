"""How long decisions take: `python -m benchmarks.decisions --products 10000`.

Made-up products with means from 0.2 to 200, negative binomial by their eight quantiles, as the forecast service answers
them. Measured in one process: the whole answer of `POST /decision/portfolio` from read forecasts (demands, a budget,
scenarios of the total), its parts, and 1,000 joint draws of three months for one product with their profits. One JSON
object on stdout; the exit code is 1 when a bar was missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from apps.decision.portfolio import decide_portfolio
from apps.decision.schemas import Numbers, PortfolioRequest
from apps.forecast.schemas import Forecast
from ml.decisions import Defaults, Economics
from ml.decisions.demand import Demand
from ml.decisions.paths import DRAWS, draw_each
from ml.decisions.portfolio import plan_portfolio
from ml.decisions.scenarios import scenarios, total_profit
from ml.decisions.stock import plan_stock, profit
from ml.dependence import Dependence
from ml.distribution import Floats, mean_of
from ml.forecasting import distribution_fields
from ml.negative_binomial import quantiles

PORTFOLIO_SECONDS, SCENARIO_SECONDS, LEVEL = 2.0, 0.015, 0.95
Result = TypeVar("Result")


def main() -> int:
    """Time each part some times and say the slowest portfolio and the 95th of 100 scenarios."""
    options = _options()
    random = np.random.default_rng(7)
    mean = np.exp(random.uniform(np.log(0.2), np.log(200), options.products))
    rows = quantiles(mean, random.uniform(0.2, 2.0, options.products))
    given = {"price_cents": 1000, "cost_cents": 450}
    numbers = Economics.of(given, None)
    economics = [numbers] * len(rows)
    building, demands = _timed(lambda: Demand.from_quantiles(rows))
    budget = plan_portfolio(demands, economics, 10**12).spend_cents // 2
    portfolios = [
        _timed(lambda: plan_portfolio([Demand(d.probability, d.step) for d in demands], economics, budget))[0]
        for _ in range(options.runs)
    ]
    orders = plan_portfolio(demands, economics, budget).order_units.tolist()
    categories = [str(i % 50) for i in range(len(rows))]
    joint, _ = _timed(lambda: total_profit(demands, categories, economics, orders, Dependence(0.05, 0.05)))
    scenario = [_timed(partial(_scenario, demands[i], numbers, i))[0] for i in range(100)]
    forecasts = _forecasts(rows, categories)
    asked = PortfolioRequest(budget_cents=budget, economics=Numbers(**given))
    whole = [_timed(lambda: decide_portfolio(forecasts, asked, Defaults()))[0] for _ in range(options.runs)]
    slowest, p95 = max(whole), float(np.quantile(scenario, LEVEL))
    told = {
        "products": len(rows),
        "answer_seconds": [round(seconds, 3) for seconds in whole],
        "budget_seconds": [round(seconds, 3) for seconds in portfolios],
        "demands_from_quantiles_seconds": round(building, 3),
        "joint_scenarios_of_all_seconds": round(joint, 3),
        "scenario_of_one_p95_ms": round(1000 * p95, 2),
    }
    print(json.dumps(told))
    return 0 if slowest <= PORTFOLIO_SECONDS and p95 <= SCENARIO_SECONDS else 1


def _forecasts(rows: Floats, categories: list[str]) -> list[Forecast]:
    origin = {
        "model_version": 1,
        "model_sha256": "",
        "data_version": "",
        "calibration_id": "",
        "risk_cuts": (0.5, 1.0),
    }
    rest = {"historical_error": None, "demand_class": "smooth", "history_months": 36, "last_month_units": 1.0}
    return [
        Forecast.model_validate(
            {"product_id": f"P{i:05}", "category": category, "month": "2026-12", "price_cents": 1000}
            | distribution_fields(mean, row, 1.0)
            | rest
            | origin
        )
        for i, (mean, row, category) in enumerate(zip(mean_of(rows).tolist(), rows, categories, strict=True))
    ]


def _scenario(demand: Demand, numbers: Economics, seed: int) -> dict[str, float]:
    stock = plan_stock(demand, numbers).available_units
    (units,) = draw_each([demand], [""], Dependence(months=0.25), months=3, seed=seed)
    return scenarios(profit(units, stock, numbers), np.full(DRAWS, 1 / DRAWS))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()  # of this process alone: the bars are for a machine with a free core
    result = work()
    return time.process_time() - start, result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=10_000, help="in the portfolio [%(default)s]")
    parser.add_argument("--runs", type=int, default=5, help="portfolios [%(default)s]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
