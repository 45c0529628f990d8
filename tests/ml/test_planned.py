"""Features of the plan equal numbers by hand, see the next month's plan and nothing of it beyond, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import features, planned
from ml.features import FEATURES, category_totals
from ml.history import History
from ml.response import Response
from tests.ml.small_plan import planned_shop, without_plan

NAN = np.nan


def rows(history: History) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return planned.build(history, category_totals(history), Response.fit(history))


def by_name(history: History, name: str) -> list[float]:
    column: list[float] = rows(history)[:, planned.names(planned=True).index(name)].tolist()
    return column


def small() -> History:
    """Two months of two products of one category; nothing was planned for the second's first month."""
    months = np.arange(np.datetime64("2026-01", "M"), np.datetime64("2026-03", "M"))
    price = np.array([[100.0, 200.0], [40.0, 40.0]])
    plan = {
        "price_cents": np.array([[100.0, 300.0, 100.0], [NAN, 60.0, 25.0]]),
        "promotion": np.array([[0.0, 1.0, 1.0], [0.0, 0.5, NAN]]),
    }
    return History(("a", "b"), ("x", "x"), months, np.full((2, 2), 5.0), price, plan=plan)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("planned_price", [100 / 200, 25 / 50]),
        ("planned_price_change", [100 / 300, 25 / 60]),
        ("planned_price_to_highest", [100 / 300, 25 / 60]),
        ("price_before", [300 / 200, 60 / 50]),
        ("price_two_before", [100 / 200, 40 / 50]),
        ("category_planned_price", [0.5, 0.5]),
        ("planned_price_to_category", [1.0, 1.0]),
        ("planned_promotion", [1.0, NAN]),
        ("promotion_before", [1.0, 0.5]),
        ("promotion_usual", [0.5, 0.25]),
        ("promotion_over_usual", [0.5, NAN]),
        ("planned_advertising", [NAN, NAN]),
    ],
)
def test_features_equal_the_numbers_by_hand(name: str, values: list[float]) -> None:
    np.testing.assert_allclose(by_name(small(), name), values)


def test_without_a_plan_the_features_are_those_of_before() -> None:
    shop = without_plan(planned_shop()[0])
    totals = category_totals(shop)
    assert totals.planned_prices is None
    assert planned.build(shop, totals, None).tobytes() == features.build(shop, totals).tobytes()
    assert planned.names(planned=False) == FEATURES
    assert planned.size(shop, None).tobytes() == features.level(shop).tobytes()


def test_names_and_columns_agree() -> None:
    assert rows(small()).shape[1] == len(set(planned.names(planned=True)))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 19), st.integers(0, 1_000))
def test_nothing_after_the_next_month_changes_a_bit(origin: int, seed: int) -> None:
    shop, _ = planned_shop(products=12, months=20)
    rng, plan = np.random.default_rng(seed), {}
    for name, values in shop.plan.items():
        plan[name] = values.copy()
        plan[name][:, origin + 1 :] = rng.uniform(1, 900, values[:, origin + 1 :].shape)
    units = shop.units.copy()
    units[:, origin:] = rng.integers(0, 900, units[:, origin:].shape)
    before, after = shop.until(origin), replace(shop, units=units, plan=plan).until(origin)
    assert rows(before).tobytes() == rows(after).tobytes()
    plan["price_cents"][:, origin] *= 2
    assert rows(before).tobytes() != rows(replace(shop, plan=plan).until(origin)).tobytes()


def test_a_product_has_the_same_bits_alone_and_in_company_and_in_any_order() -> None:
    shop, _ = planned_shop(products=17)
    response, totals = Response.fit(shop), category_totals(shop)
    together = planned.build(shop, totals, response)
    for i in range(shop.n):
        alone = planned.build(shop.rows(np.array([i])), totals, response)
        assert alone.tobytes() == together[i : i + 1].tobytes()
    mixed = category_totals(shop.rows(np.random.default_rng(0).permutation(shop.n)))
    assert totals.planned_prices is not None
    assert mixed.planned_prices is not None
    assert mixed.planned_prices.tobytes() == totals.planned_prices.tobytes()
