"""Known effects are recovered, shrunk where little is known, and taken out of the past."""

from dataclasses import replace

import numpy as np
import pytest

from ml.history import History
from ml.response import LARGEST_LIFT, Response
from tests.ml.small_plan import ELASTICITY, PROMOTION, planned_shop, without_plan


@pytest.mark.parametrize("seed", range(3))
def test_known_effects_are_recovered_within_a_tenth(seed: int) -> None:
    shop, truth = planned_shop(products=200, months=36, seed=seed)
    response = Response.fit(shop)
    assert response.mean[0] == pytest.approx(ELASTICITY, rel=0.1)
    assert response.mean[1] == pytest.approx(PROMOTION, rel=0.1)
    found = response.effects(shop)
    assert np.median(np.abs(found.elasticity - truth)) <= 0.1 * abs(ELASTICITY)
    within = np.abs(found.elasticity - truth) <= 2 * found.errors[:, 0]
    assert within.mean() >= 0.85


def test_shrinkage_beats_each_product_alone_when_months_are_few() -> None:
    shop, truth = planned_shop(products=200, months=8)
    deviation = np.log(shop.plan["price_cents"][:, :-1])
    deviation -= deviation.mean(axis=1, keepdims=True)
    promotion = shop.plan["promotion"][:, :-1] - shop.plan["promotion"][:, :-1].mean(axis=1, keepdims=True)
    alone = [
        np.linalg.lstsq(np.column_stack([d, p]), np.log(u + 0.5) - np.log(u + 0.5).mean(), rcond=None)[0][0]
        for d, p, u in zip(deviation, promotion, shop.units, strict=True)
    ]
    shrunk = Response.fit(shop).effects(shop).elasticity
    assert np.mean((shrunk - truth) ** 2) < 0.8 * np.mean((np.array(alone) - truth) ** 2)


def test_without_variation_a_product_answers_as_the_others_do() -> None:
    shop, _ = planned_shop()
    price = shop.plan["price_cents"].copy()
    price[0] = 1_000.0
    response = Response.fit(replace(shop, plan={"price_cents": price}))
    found = response.effects(replace(shop, plan={"price_cents": price}))
    assert found.elasticity[0] == pytest.approx(response.mean[0])
    assert found.errors[0, 0] == pytest.approx(np.sqrt(response.variance[0]))


def test_the_past_under_the_next_plan_has_the_effect_of_the_next_plan() -> None:
    shop, _ = planned_shop(spread=0.05, months=36)
    cheap = {**shop.plan, "price_cents": shop.plan["price_cents"].copy()}
    cheap["price_cents"][:, -1] /= 2
    response = Response.fit(shop)
    now, half = (response.as_planned(h).units.mean() for h in (shop, replace(shop, plan=cheap)))
    assert half / now == pytest.approx(2**-ELASTICITY, rel=0.1)
    deviation = np.log(response.as_planned(shop).units + 1).std(axis=1).mean()
    assert deviation < 0.8 * np.log(shop.units + 1).std(axis=1).mean()


def test_no_plan_changes_nothing() -> None:
    shop = without_plan(planned_shop()[0])
    response = Response.fit(shop)
    assert not response.mean.any()
    assert response.as_planned(shop).units.tobytes() == shop.units.tobytes()


def test_a_product_has_the_same_bits_alone_and_in_company() -> None:
    shop, _ = planned_shop(products=17)
    response = Response.fit(shop)
    together = response.as_planned(shop).units
    for i in range(shop.n):
        assert response.as_planned(shop.rows(np.array([i]))).units.tobytes() == together[i : i + 1].tobytes()


def test_a_lift_is_bounded_also_after_a_round_trip_through_the_state() -> None:
    shop, _ = planned_shop()
    plan = {**shop.plan, "price_cents": shop.plan["price_cents"].copy()}
    plan["price_cents"][:, -1] *= 1e-6
    response = Response.fit(shop)
    _, lift = Response.from_state(response.state()).split(replace(shop, plan=plan))
    assert lift.max() == LARGEST_LIFT


def advertised_shop(cents: float) -> History:
    """Demand rises by a tenth with each thousand of advertising, in currency units that have so many cents."""
    rng = np.random.default_rng(4)
    spent = np.where(rng.uniform(size=(150, 31)) < 0.4, rng.uniform(500, 5_000, (150, 31)), 0.0)
    shop = planned_shop(products=150)[0]
    units = rng.poisson(80 * np.exp(0.1 * spent[:, :-1] / 1_000)).astype(float)
    return replace(shop, units=units, plan={"advertising": cents * spent})


def test_the_effect_of_advertising_is_found_in_any_unit_of_money() -> None:
    found = []
    for cents in (0.01, 1.0, 100.0):
        response = Response.fit(advertised_shop(cents))
        assert response.mean[2] / response.scales[2] * 1_000 * cents == pytest.approx(0.1, rel=0.1)
        found.append(response.split(advertised_shop(cents))[1])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-9)


def test_a_state_without_scales_means_what_it_meant() -> None:
    shop, _ = planned_shop()
    response = Response.fit(shop)
    assert response.scales.tolist() == [1.0, 1.0, 1.0, 1.0]
    state = response.state()
    del state["scales"]
    assert (
        Response.from_state(state).as_planned(shop).units.tobytes()
        == response.as_planned(shop).units.tobytes()
    )


def test_months_without_a_plan_that_sell_nothing_are_learned_and_do_not_lower_the_usual() -> None:
    shop, _ = planned_shop()
    units, absent = shop.units.copy(), np.zeros((shop.n, shop.T + 1), dtype=bool)
    absent[::2, 7] = absent[1::2, 20] = absent[0, -1] = True
    units[absent[:, :-1]] = 0.0
    plan = {name: np.where(absent, np.nan, values) for name, values in shop.plan.items()}
    gaps = replace(shop, units=units, plan=plan)
    response = Response.fit(gaps)
    usual, lift = response.split(gaps)
    assert lift[0] == response.unplanned < 0.1
    assert usual.units[0, 7] == usual.units[0, 6]
    assert response.silent(gaps).tolist() == [True] + [False] * (gaps.n - 1)
    assert not response.silent_quantiles(gaps)[0].any()
    sold = replace(gaps, units=shop.units)
    assert Response.fit(sold).unplanned == pytest.approx(1.0, abs=0.25)
