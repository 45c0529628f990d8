"""Risk: a cost at risk without unit, and classes by frozen cuts."""

import numpy as np
import pytest

from ml.decisions.demand import Demand
from ml.decisions.risk import cost_at_risk, level, risk_cuts, take_share
from ml.decisions.stock import newsvendor

TIGHT = [98.0, 98.5, 99.0, 100.0, 101.0, 101.5, 102.0, 103.0]
WIDE = [0.0, 5.0, 30.0, 90.0, 150.0, 230.0, 290.0, 450.0]
SPARSE = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 4.0, 30.0]


def at_risk(quantiles: list[float], scale: float = 1.0) -> float:
    demand = Demand.from_quantiles(np.array([quantiles]))[0]
    stock, _ = newsvendor(demand, 4 * scale, 3 * scale)
    return cost_at_risk(demand, stock, 4 * scale, 3 * scale)


def test_the_worst_tenth_is_worked_by_hand() -> None:
    """Two in stock, costs 4 and 3: nobody (p .05) leaves 6, five (p .05) miss 12; mean 9 over margin."""
    demand = Demand(np.array([0.05, 0.0, 0.9, 0.0, 0.0, 0.05]))
    assert cost_at_risk(demand, 2, 4, 3) == pytest.approx(9 / (4 * (2.05 + 1)))


def test_the_wider_the_demand_the_more_is_at_risk() -> None:
    assert at_risk(TIGHT) < at_risk(WIDE) < at_risk(SPARSE)


def test_the_currency_does_not_matter() -> None:
    assert at_risk(WIDE, scale=1_000) == pytest.approx(at_risk(WIDE))


def test_a_class_follows_the_cuts_and_nothing_else() -> None:
    assert [level(risk, (0.2, 0.5)) for risk in (0.1, 0.2, 0.3, 0.5, 0.51)] == [
        "Low",
        "Low",
        "Medium",
        "Medium",
        "High",
    ]


def test_the_cuts_part_a_portfolio_in_thirds() -> None:
    rows = [[units * factor for units in WIDE] for factor in np.linspace(0.01, 3, 60)]
    cuts = risk_cuts(np.array(rows))
    assert cuts[0] < cuts[1]
    assert cuts == risk_cuts(np.array(rows[::-1]))
    low, high = risk_cuts(np.array([TIGHT, WIDE, SPARSE]))
    assert level(_default_risk(TIGHT), (low, high)) == "Low"
    assert level(_default_risk(WIDE), (low, high)) == "Medium"
    assert level(_default_risk(SPARSE), (low, high)) == "High"


def _default_risk(quantiles: list[float]) -> float:
    """Under a cost of 60 %, half of it salvaged, 2 % of it for holding: 0.4 and 0.312."""
    demand = Demand.from_quantiles(np.array([quantiles]))[0]
    stock, _ = newsvendor(demand, 0.4, 0.312)
    return cost_at_risk(demand, stock, 0.4, 0.312)


def test_the_share_to_take_is_worked_by_hand() -> None:
    """Gain 100 or lose 50, even chances: mean 25, variance 75^2; 25 x 180 / 5,625 = 0.8."""
    change, even = np.array([100.0, -50.0]), np.array([0.5, 0.5])
    assert take_share(change, even, 180.0) == pytest.approx(0.8)
    assert take_share(change, even, 180.0, aversion=2.0) == pytest.approx(0.4)
    assert take_share(change * 100, even, 18_000.0) == pytest.approx(0.8)


def test_a_sure_gain_is_taken_whole_and_a_loss_not_at_all() -> None:
    assert take_share(np.array([5.0, 5.0]), np.array([0.5, 0.5]), 1.0) == 1.0
    assert take_share(np.array([5.0, -9.0]), np.array([0.5, 0.5]), 1.0) == 0.0
    assert take_share(np.array([500.0, -100.0]), np.array([0.5, 0.5]), 1.0, aversion=0.0) == 1.0


def test_the_share_rises_with_confidence() -> None:
    even = np.array([0.5, 0.5])
    shares = [
        take_share(np.array([20.0 + spread, 20.0 - spread]), even, 100.0) for spread in range(200, 0, -5)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.9
