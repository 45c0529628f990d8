"""Parts of a portfolio, recounted product by product."""

from dataclasses import replace

import numpy as np
import pytest

from ml.history import History
from ml.segments import UNKNOWN, revenue, segments
from tests.ml.small_history import small_shop

SHOP = small_shop(products=80, months=24, seed=5)
ORIGINS = (20, 22)
COUNTED = ~np.isnan(SHOP.units[:, [19, 21]])


def parts(kind: str, history: History = SHOP) -> dict[str, list[tuple[int, int]]]:
    found = segments(history, ORIGINS, COUNTED)
    return {name: [(int(i), int(k)) for i, k in np.argwhere(mask)] for of, name, mask in found if of == kind}


@pytest.mark.parametrize("kind", ["demand class", "size", "category", "price", "age", "revenue"])
def test_every_forecast_that_counts_is_in_one_part_of_each_kind(kind: str) -> None:
    members = sorted(member for found in parts(kind).values() for member in found)
    assert members == [(int(i), int(k)) for i, k in np.argwhere(COUNTED)]


def test_products_of_less_than_a_year_are_in_their_first_year() -> None:
    young = [
        (i, k)
        for k, t in enumerate(ORIGINS)
        for i in range(SHOP.n)
        if COUNTED[i, k] and np.sum(~np.isnan(SHOP.units[i, :t])) < 12
    ]
    assert sorted(parts("age")["first year"]) == sorted(young)
    assert young


def test_the_top_tenth_sells_most_by_value() -> None:
    top = parts("revenue")["top tenth"]
    for k, t in enumerate(ORIGINS):
        value = {}
        for i in np.flatnonzero(COUNTED[:, k]):
            year, prices = SHOP.units[i, t - 12 : t], SHOP.price_cents[i, t - 12 : t]
            known = prices[~np.isnan(prices)]
            value[i] = np.nansum(year) * (known.mean() if len(known) else 0.0)
        most = sorted(value, key=lambda i: -value[i])[: len([1 for _, of in top if of == k])]
        assert sorted(most) == sorted(i for i, of in top if of == k)
        assert abs(len(most) / COUNTED[:, k].sum() - 0.1) < 0.02


def test_prices_part_the_forecasts_in_thirds() -> None:
    found = parts("price")
    known = sum(len(members) for name, members in found.items() if name != UNKNOWN)
    for name in ("low", "middle", "high"):
        assert abs(len(found[name]) / known - 1 / 3) < 0.03


def test_without_any_price_the_units_stand_for_revenue() -> None:
    priceless = replace(SHOP, price_cents=np.full(SHOP.units.shape, np.nan))
    assert set(parts("price", priceless)) == {UNKNOWN}
    np.testing.assert_allclose(revenue(priceless), np.nansum(SHOP.units[:, -12:], axis=1))
    assert parts("revenue", priceless)["top tenth"]
