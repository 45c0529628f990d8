"""Advertising: closed form inside the bounds, a grid beside it, nothing for a product that sells out."""

import numpy as np
import pytest

from ml.decisions.advertising import STEP_SHARE, AdPlan, plan_ad_budget, plan_advertising
from ml.decisions.demand import Demand
from ml.decisions.economics import Economics
from ml.decisions.response import Response, Responses, prior
from ml.errors import ImpossibleEconomics

DEMAND = Demand(np.full(201, 1.0))
ENOUGH = 10_000


def economics(spend: int, elasticity: float = 0.1, **given: float) -> Economics:
    numbers = {"price_cents": 1000, "cost_cents": 600, "salvage_cents": 600, "holding_cents": 10}
    return Economics.of({**numbers, "ad_spend_cents": spend, "ad_elasticity": elasticity, **given}, None)


def planned(available: int, worked: Economics) -> AdPlan:
    return plan_advertising(DEMAND, available, worked, responses(worked))


def responses(worked: Economics) -> Responses:
    spend = max(worked.ad_spend_cents, 1)
    return prior(spend, worked.ad_elasticity, worked.ad_elasticity_error, "given")


def test_inside_the_step_it_is_the_closed_form() -> None:
    """With stock for all a unit gains 1000 - 600 + 10 = 410, so r = (410 x 100 x .1 / x0)^(1 / .9)."""
    plan = planned(ENOUGH, economics(spend=4_000))
    assert plan.change_share + 1 == pytest.approx((410 * 100 * 0.1 / 4_000) ** (1 / 0.9), rel=1e-9)
    assert plan.binding == "none"
    assert plan.expected_profit_change_cents > 0


@pytest.mark.parametrize(("spend", "bound"), [(100, "step_up"), (100_000, "step_down")])
def test_a_binding_step_is_named(spend: int, bound: str) -> None:
    plan = planned(ENOUGH, economics(spend))
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
    plan = planned(available, worked)
    assert earned(1 + plan.change_share) == pytest.approx(best, rel=1e-6)
    assert plan.expected_profit_change_cents == pytest.approx(earned(1 + plan.change_share) - earned(1.0))


def test_a_product_that_will_sell_out_gets_less_where_a_stocked_one_gets_more() -> None:
    assert planned(ENOUGH, economics(spend=1_000)).change_share > 0
    assert planned(10, economics(spend=1_000)).binding == "step_down"


def test_from_no_spend_there_is_no_recommendation() -> None:
    plan = planned(ENOUGH, economics(spend=0))
    assert (plan.spend_cents, plan.change_share, plan.binding) == (0, 0.0, "no_spend")


def test_an_uncertain_elasticity_shows_as_a_range_around_the_recommendation() -> None:
    plan = planned(ENOUGH, economics(spend=4_000, ad_elasticity_error=0.1))
    assert plan.low_cents < 4_000 < plan.high_cents
    assert plan.low_cents <= plan.spend_cents <= plan.high_cents
    sure = planned(ENOUGH, economics(spend=4_000, ad_elasticity_error=0.0))
    assert sure.low_cents == sure.spend_cents == sure.high_cents


def shop(
    spends: list[int], available: list[int]
) -> tuple[list[Demand], list[int], list[Economics], Response]:
    worked = [economics(spend, elasticity=0.3) for spend in spends]
    reference = np.maximum(np.array(spends, dtype=np.float64), 1.0)
    curve = Response.constant_elasticity(reference, np.full(len(spends), 0.3))
    return [DEMAND] * len(spends), available, worked, curve


def test_a_budget_gives_every_free_product_the_same_return() -> None:
    """Fully stocked, one cent returns 410 x 100 x 0.3 x (x / x0)^(-0.7) / x0."""
    spends = [9_000, 10_000, 10_500]
    plan = plan_ad_budget(*shop(spends, [ENOUGH] * 3), budget_cents=30_000.0, step=0.5)
    assert plan.spend_cents.sum() == pytest.approx(30_000)
    returns = [
        410 * 100 * 0.3 * (x / now) ** -0.7 / now
        for x, now in zip(plan.spend_cents.tolist(), spends, strict=True)
    ]
    assert returns == pytest.approx([1 + plan.multiplier] * 3, rel=1e-6)
    assert plan.binding == ("budget",) * 3


def test_with_money_for_all_it_is_what_each_product_gets_alone() -> None:
    spends, available = [1_000, 1_500, 4_000, 0], [ENOUGH, 60, 120, ENOUGH]
    demands, stocks, worked, curve = shop(spends, available)
    plan = plan_ad_budget(demands, stocks, worked, curve, budget_cents=1e9)
    alone = [planned(stock, numbers) for stock, numbers in zip(stocks, worked, strict=True)]
    assert [round(x) for x in plan.spend_cents.tolist()] == [ad.spend_cents for ad in alone]
    assert plan.binding == tuple(ad.binding for ad in alone)
    assert plan.multiplier == 0.0


def test_a_product_that_sells_out_leaves_its_money_to_the_others() -> None:
    spends = [8_000, 8_000]
    plan = plan_ad_budget(*shop(spends, [ENOUGH, 20]), budget_cents=16_000.0)
    assert plan.binding == ("step_up", "step_down")
    assert plan.spend_cents.tolist() == pytest.approx([9_600, 6_400])


def test_a_budget_that_cannot_pay_the_largest_cuts_is_refused() -> None:
    with pytest.raises(ImpossibleEconomics, match="add up to 12800 cents"):
        plan_ad_budget(*shop([8_000, 8_000], [ENOUGH, ENOUGH]), budget_cents=10_000.0)


def test_a_fitted_curve_is_followed_within_the_step() -> None:
    """Half of demand organic, Hill with s = 1 and k = x0: a grid of spends finds nothing better."""
    worked = economics(4_000)
    curve = Response(*(np.array(value) for value in (4_000.0, 0.5, 1.0, 1.0)))
    plan = plan_advertising(DEMAND, 130, worked, Responses(curve, curve, curve, "fitted"))

    def earned(spend: float) -> float:
        factor = 0.5 + 0.5 * (spend / 4_000) * 2 / (1 + spend / 4_000)
        total = 0.0
        for y, p in enumerate(DEMAND.probability.tolist()):
            sold = min(y * factor, 130)
            total += p * (1000 * sold + 590 * (130 - sold) - 600 * 130)
        return total - spend

    assert earned(plan.spend_cents) == pytest.approx(
        max(earned(x) for x in np.linspace(3_200, 4_800, 801)), rel=1e-6
    )
    assert plan.expected_profit_change_cents == pytest.approx(earned(plan.spend_cents) - earned(4_000), abs=1)
