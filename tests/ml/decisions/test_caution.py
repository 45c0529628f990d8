"""Stock under caution: the published case, sorting over every stock, and the scenario program."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import gamma

from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.stock import best_stock
from tests.ml.decisions.newsvendor import economics, poisson, worst_mean_by_sorting


def test_caution_without_goodwill_is_a_lower_quantile() -> None:
    """Gamma(4, 25), price 10, cost 6, salvage 3, worst 30 %: 53.8175, by a grid of a thousandth unit."""
    units = 1_000
    mass = np.diff(gamma.cdf(np.arange(0, 600 * units, dtype=np.float64), 4, scale=25 * units), prepend=0.0)
    given = {"price_cents": 10, "cost_cents": 6, "salvage_cents": 3, "holding_cents": 0}
    cautious = Economics.of({**given, "cvar_share": 0.3}, None)
    assert best_stock(Demand(mass), cautious) / units == pytest.approx(53.8175, abs=1e-3)
    assert gamma.ppf(0.3 * cautious.critical_ratio, 4, scale=25) == pytest.approx(53.8175, abs=5e-5)
    neutral = Economics.of(given, None)
    assert best_stock(Demand(mass), neutral) / units == pytest.approx(100.629, abs=1e-3)


@settings(deadline=None)
@given(
    st.lists(st.floats(0.001, 1.0), min_size=2, max_size=25).map(np.array),
    st.integers(0, 3_000),
    st.floats(0.05, 1.0),
    st.integers(1, 999),
)
def test_under_caution_no_other_stock_has_a_better_worst_share(
    mass: np.ndarray, goodwill: int, share: float, cost: int
) -> None:
    demand = Demand(mass)
    worked = economics(cost_cents=cost, salvage_cents=0, goodwill_cents=goodwill, cvar_share=share)
    found = worst_mean_by_sorting(demand.probability.tolist(), best_stock(demand, worked), worked)
    best = max(worst_mean_by_sorting(demand.probability.tolist(), s, worked) for s in range(len(mass)))
    assert found == pytest.approx(best, rel=1e-9, abs=1e-6)


def test_the_worst_share_agrees_with_the_scenario_program() -> None:
    """Rockafellar and Uryasev's linear program over 40 scenarios, stock continuous: at most one unit better."""
    random = np.random.default_rng(3)
    for share in (0.1, 0.4, 0.8):
        draws = random.gamma(2, 300, 40).round()
        worked = economics(cost_cents=600, salvage_cents=100, goodwill_cents=900, cvar_share=share)
        best, stock = scenario_program(draws, worked)
        ours = best_stock(Demand(np.bincount(draws.astype(int)).astype(float)), worked)
        mass = (np.bincount(draws.astype(int)) / 40).tolist()
        assert worst_mean_by_sorting(mass, ours, worked) <= best + 1e-6
        assert worst_mean_by_sorting(mass, ours, worked) == pytest.approx(best, rel=1e-3)
        assert abs(ours - stock) <= 1


def scenario_program(draws: np.ndarray, worked: Economics) -> tuple[float, float]:
    """Max t - mean(u) / share with u >= t - profit, short >= y - Q, left >= Q - y; variables Q, t, u, short, left."""
    n = len(draws)
    eye, none, ones = np.eye(n), np.zeros((n, n)), np.ones((n, 1))
    costs = np.concatenate(([0.0, -1.0], np.full(n, 1 / n / worked.cvar_share), np.zeros(2 * n)))
    under, over = worked.underage_cents, worked.overage_cents
    shortfall = np.hstack([0 * ones, ones, -eye, under * eye, over * eye])
    short = np.hstack([-ones, 0 * ones, none, -eye, none])
    left = np.hstack([ones, 0 * ones, none, none, -eye])
    limits = np.concatenate((worked.margin_cents * draws, -draws, draws))
    bounds = [(0, None), (None, None), *[(0, None)] * (3 * n)]
    solved = linprog(costs, np.vstack([shortfall, short, left]), limits, bounds=bounds)
    return -solved.fun, solved.x[0]


def test_caution_orders_less_without_goodwill_and_can_order_more_with_it() -> None:
    def stock(goodwill: int, share: float) -> int:
        return best_stock(poisson(50), economics(goodwill_cents=goodwill, cvar_share=share))

    assert stock(0, 0.2) < stock(0, 1.0)
    assert stock(5_000, 0.2) > stock(5_000, 1.0)
