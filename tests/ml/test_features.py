"""Features equal the same numbers in SQL, see no future, and have the same bits alone and in company."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml.features import FEATURES, CategoryTotals, build, category_totals, level, scale, squared_scale
from ml.history import EXTRA, History
from tests.ml.feature_query import EVENT_COLUMNS, query_features
from tests.ml.small_history import small_shop


def shop_with_events(products: int = 30, months: int = 24, seed: int = 1) -> History:
    """All event columns, some prices unknown."""
    shop, rng = small_shop(products, months, seed), np.random.default_rng(seed)
    extra = {name: rng.integers(0, 40, shop.units.shape).astype(float) for name in EXTRA}
    return replace(shop, extra=extra)


def test_the_oracle_names_every_event_column() -> None:
    assert set(EVENT_COLUMNS) == set(EXTRA)


@pytest.mark.parametrize("origin", [1, 2, 7, 13, 24])
def test_every_feature_equals_its_sql(origin: int) -> None:
    shop = shop_with_events()
    past = shop.until(origin)
    found, expected = build(past, category_totals(past)), query_features(shop, origin)
    rows = expected.pop("product").astype(int)
    assert set(expected) == set(FEATURES)
    assert len(rows) >= 20
    for i, name in enumerate(FEATURES):
        np.testing.assert_allclose(found[rows, i], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_unknown_columns_are_unknown_features_not_zeros() -> None:
    shop = replace(small_shop(), extra={})
    found = build(shop, category_totals(shop))
    assert np.all(np.isnan(found[:, FEATURES.index("orders_1")]))


def changed_from(history: History, month: int, seed: int) -> History:
    """Other units, prices and events from `month` on; products keep the month of their first sale."""
    rng = np.random.default_rng(seed)

    def other(values: NDArray[np.float64]) -> NDArray[np.float64]:
        changed = values.copy()
        changed[:, month:] = np.where(
            np.isnan(values[:, month:]), np.nan, rng.integers(0, 500, values[:, month:].shape)
        )
        return changed

    extra = {name: other(values) for name, values in history.extra.items()}
    return replace(history, units=other(history.units), price_cents=other(history.price_cents), extra=extra)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 23), st.integers(0, 1_000))
def test_nothing_from_the_origin_on_changes_a_bit(origin: int, seed: int) -> None:
    shop = shop_with_events()
    before, after = shop.until(origin), changed_from(shop, origin, seed).until(origin)
    assert build(before, category_totals(before)).tobytes() == build(after, category_totals(after)).tobytes()


def test_the_last_month_before_the_origin_does_change_features() -> None:
    shop = shop_with_events()
    before, after = shop.until(12), changed_from(shop, 11, seed=5).until(12)
    assert build(before, category_totals(before)).tobytes() != build(after, category_totals(after)).tobytes()


@pytest.mark.parametrize("products", [1, 2, 3, 5, 8, 17, 100])
def test_a_product_has_the_same_bits_alone_and_in_company(products: int) -> None:
    shop = shop_with_events(products=products)
    totals = category_totals(shop)
    together = build(shop, totals)
    for i in range(products):
        assert build(shop.rows(np.array([i])), totals).tobytes() == together[i : i + 1].tobytes()


def test_months_before_the_first_sale_can_be_left_out() -> None:
    shop = shop_with_events()
    row = 2
    start = int(np.argmax(~np.isnan(shop.units[row])))
    assert start > 0
    whole = shop.rows(np.array([row]))
    short = History(
        whole.product_ids,
        whole.categories,
        whole.months[start:],
        whole.units[:, start:],
        whole.price_cents[:, start:],
        {name: values[:, start:] for name, values in whole.extra.items()},
    )
    totals = category_totals(shop)
    assert build(short, totals).tobytes() == build(whole, totals).tobytes()


def test_a_category_nobody_knows_has_unknown_shares() -> None:
    shop = shop_with_events(products=3)
    stranger = replace(shop, categories=("never seen", *shop.categories[1:]))
    found = build(stranger, category_totals(shop))
    column = FEATURES.index("category_share")
    assert np.isnan(found[0, column])
    assert not np.isnan(found[1, column])


def test_a_product_that_never_sold_has_features_without_a_warning() -> None:
    shop = shop_with_events(products=3)
    units = shop.units.copy()
    units[1] = np.nan
    silent = replace(shop, units=units)
    found = build(silent, category_totals(silent))
    assert found[1, FEATURES.index("age_months")] == 0
    assert level(silent)[1] == 0.5
    assert scale(silent)[1] == 0.5


def test_category_totals_are_sums_in_the_order_of_names() -> None:
    shop = small_shop(products=4, months=6)
    totals = category_totals(shop)
    assert totals.names == ("garden", "kitchen", "toys")
    np.testing.assert_array_equal(totals.totals[1], np.nansum(shop.units[[0, 3]], axis=0))


def test_category_totals_do_not_depend_on_the_order_of_products() -> None:
    shop = small_shop(products=50)
    mixed = shop.rows(np.random.default_rng(0).permutation(50))
    assert category_totals(mixed).totals.tobytes() == category_totals(shop).totals.tobytes()


def test_scales_are_mean_steps_since_the_first_sale() -> None:
    shop = small_shop(products=3, months=6)
    units = np.array([[np.nan, 4, 8, 8, 2, 3], [np.nan] * 5 + [9], [1, 1, 1, 1, 1, 1]], dtype=float)
    made = replace(shop, units=units)
    assert scale(made).tolist() == [(4 + 0 + 6 + 1) / 4, 0.5, 0.5]
    assert squared_scale(made).tolist() == [(16 + 0 + 36 + 1) / 4, 0.25, 0.25]


def test_the_level_is_the_mean_of_a_year_kept_away_from_zero() -> None:
    shop = small_shop(products=2, months=14)
    units = np.array([[100.0] * 2 + [6.0] * 12, [5.0] + [0.0] * 13])
    assert level(replace(shop, units=units)).tolist() == [6.25, 0.5]


def test_growth_is_limited() -> None:
    shop = small_shop(products=1, months=2)
    made = replace(shop, units=np.array([[1.0, 1_000.0]]))
    found = build(made, CategoryTotals(("kitchen",), made.units))
    assert found[0, FEATURES.index("shop_growth")] == 10.0
