"""The mix leaves losers out, weighs like non-negative least squares, and is better than its worst half."""

import numpy as np
import pytest

from ml.calibration import Calibration
from ml.features import category_totals
from ml.hindcasts import Hindcasts
from ml.models.boosting import QuantileTrees
from ml.models.mix import MEMBERS, Mix
from ml.models.smoothing import Naive
from tests.ml.small_history import small_shop


def test_without_any_past_all_members_weigh_the_same() -> None:
    shop = small_shop(products=20, months=6)
    hindcasts = Hindcasts(shop, seed=0, first=6)
    mix = Mix.fit(shop, 0, hindcasts)
    np.testing.assert_allclose(mix.weights, 1 / len(MEMBERS))


def test_members_that_lost_to_naive_are_left_out() -> None:
    """Sales double every month: only the last month is near, averages of earlier ones are far below."""
    shop = small_shop(products=20, months=9)
    units = np.repeat(2.0 ** np.arange(9)[np.newaxis], 20, axis=0)
    growing = type(shop)(shop.product_ids, shop.categories, shop.months, units, shop.price_cents)
    names = [member.name for member in Mix.fit(growing, 0).members]
    assert "naive" in names
    assert not {"ma3", "tsb"} & set(names)


def test_quantiles_are_the_mean_of_both_calibrated_halves() -> None:
    shop, seed = small_shop(products=24, months=16), 2
    hindcasts = Hindcasts(shop, seed, first=13)
    mix = Mix.fit(shop, seed, hindcasts)
    found = mix.predict(shop, category_totals(shop))
    trees = Calibration.fit("quantiles", hindcasts.before(QuantileTrees, 16)).apply(
        shop, hindcasts.model(QuantileTrees, 16).predict(shop, category_totals(shop))
    )
    counts = 2 * found.levels - trees.levels
    assert np.all(np.diff(counts, axis=1) >= -1e-9)
    assert np.all(counts >= -1e-9)
    assert float(np.mean(counts[:, 3])) == pytest.approx(float(np.mean(trees.levels[:, 3])), rel=0.3)


def test_naive_is_the_yardstick_and_stands_last() -> None:
    assert MEMBERS[0] is QuantileTrees
    assert MEMBERS[-1] is Naive
