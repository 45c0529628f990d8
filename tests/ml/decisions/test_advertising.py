"""Advertising: closed form inside the bounds, a grid beside it, nothing for a product that sells out."""

import numpy as np
import pytest

from ml.decisions.advertising import STEP_SHARE, plan_advertising
from ml.decisions.demand import Demand
from ml.decisions.economics import Economics

DEMAND = Demand(np.full(201, 1.0))
ENOUGH = 10_000


def economics(spend: int, elasticity: float = 0.1, **given: float) -> Economics:
    numbers = {"price_cents": 1000, "cost_cents": 600, "salvage_cents": 600, "holding_cents": 10}
    return Economics.of({**numbers, "ad_spend_cents": spend, "ad_elasticity": elasticity, **given}, None)


def test_inside_the_step_it_is_the_closed_form() -> None:
    """With stock for all a unit gains 1000 - 600 + 10 = 410, so r = (410 x 100 x .1 / x0)^(1 / .9)."""
    plan = plan_advertising(DEMAND, ENOUGH, economics(spend=4_000))
    assert plan.change_share + 1 == pytest.approx((410 * 100 * 0.1 / 4_000) ** (1 / 0.9), rel=1e-9)
    assert plan.binding == "none"
    assert plan.expected_profit_change_cents > 0


@pytest.mark.parametrize(("spend", "bound"), [(100, "step_up"), (100_000, "step_down")])
def test_a_binding_step_is_named(spend: int, bound: str) -> None:
    plan = plan_advertising(DEMAND, ENOUGH, economics(spend))
    assert plan.binding == bound
    assert abs(plan.change_share) == pytest.approx(STEP_SHARE)


@pytest.mark.parametrize("available", [60, 120, 190])
@pytest.mark.parametrize("goodwill", [0, 300])
def test_no_spend_on_a_grid_earns_more(available: int, goodwill: int) -> None:
    worked = economics(spend=1_500, elasticity=0.3, goodwill_cents=goodwill)

    def earned(ratio: float) -> float:
        total = 0.0
        for y, p in enumerate(DEMAND.probability.tolist()):
            lifted = y * ratio**0.3
            sold = min(lifted, available)
            left, missed = available - sold, lifted - sold
            total += p * (1000 * sold + 600 * left - 10 * left - goodwill * missed - 600 * available)
        return total - 1_500 * ratio

    best = max(earned(ratio) for ratio in np.linspace(1 - STEP_SHARE, 1 + STEP_SHARE, 401))
    plan = plan_advertising(DEMAND, available, worked)
    assert earned(1 + plan.change_share) == pytest.approx(best, rel=1e-6)
    assert plan.expected_profit_change_cents == pytest.approx(earned(1 + plan.change_share) - earned(1.0))


def test_a_product_that_will_sell_out_gets_less_where_a_stocked_one_gets_more() -> None:
    assert plan_advertising(DEMAND, ENOUGH, economics(spend=1_000)).change_share > 0
    assert plan_advertising(DEMAND, 10, economics(spend=1_000)).binding == "step_down"


def test_from_no_spend_there_is_no_recommendation() -> None:
    plan = plan_advertising(DEMAND, ENOUGH, economics(spend=0))
    assert (plan.spend_cents, plan.change_share, plan.binding) == (0, 0.0, "no_spend")


def test_an_uncertain_elasticity_shows_as_a_range_around_the_recommendation() -> None:
    plan = plan_advertising(DEMAND, ENOUGH, economics(spend=4_000, ad_elasticity_error=0.1))
    assert plan.low_cents < 4_000 < plan.high_cents
    assert plan.low_cents <= plan.spend_cents <= plan.high_cents
    sure = plan_advertising(DEMAND, ENOUGH, economics(spend=4_000, ad_elasticity_error=0.0))
    assert sure.low_cents == sure.spend_cents == sure.high_cents
