"""Discounted means by hand, and all products telling each which discount is likely."""

import numpy as np
import pytest

from ml.features import category_totals
from ml.models.discounted import DISCOUNTS, DiscountedMean
from tests.ml.models.series import series


def shares_of(units: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> dict[float, float]:
    return dict(zip(DISCOUNTS, DiscountedMean.fit(series(*units.tolist()), 0).shares.tolist(), strict=True))


def test_one_discount_is_the_weighted_mean() -> None:
    history = series([np.nan, 8.0, 2.0, 6.0])
    only = DiscountedMean((np.array(DISCOUNTS) == 0.5).astype(float))
    mean = only.predict(history, category_totals(history)).mean
    assert mean[0] == pytest.approx((8 * 0.25 + 2 * 0.5 + 6) / 1.75)


def test_what_all_products_do_decides() -> None:
    rng = np.random.default_rng(0)
    steady = rng.poisson(rng.uniform(5, 50, (200, 1)), (200, 30)).astype(float)
    wandering = 50 * np.exp(np.cumsum(0.3 * rng.standard_normal((200, 30)), axis=1))
    assert shares_of(steady)[1.0] + shares_of(steady)[0.97] > 0.7
    assert shares_of(wandering)[0.3] > 0.6
    assert sum(shares_of(steady).values()) == pytest.approx(1.0)


def test_a_product_of_one_month_is_that_month_and_one_that_never_sold_is_zero() -> None:
    history = series([np.nan, np.nan, 7.0], [np.nan, np.nan, np.nan], [3.0, 3.0, 3.0])
    model = DiscountedMean.fit(history, 0)
    np.testing.assert_allclose(model.predict(history, category_totals(history)).mean, [7.0, 0.0, 3.0])
