"""The yardstick is the recipe as shops write it: raw units, pooled, a few features."""

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import NotEnoughHistory
from ml.features import FEATURES, category_totals
from ml.models.reference import SHARES, VOLUMES, SeedRecipe
from tests.ml.small_history import small_shop


def test_it_uses_the_features_of_the_recipe_and_no_others() -> None:
    assert set(VOLUMES + SHARES) == {
        *("lag_1", "lag_2", "lag_3", "mean_3", "deviation_3", "momentum"),
        *("category_share", "category_growth", "month_sin", "month_cos"),
    }
    assert set(VOLUMES + SHARES) <= set(FEATURES)


def test_it_learns_raw_units_of_products_that_repeat_themselves() -> None:
    shop = small_shop(products=80, months=15)
    size = np.random.default_rng(0).uniform(10, 100, (80, 1))
    steady = replace(shop, units=np.repeat(size, 15, axis=1))
    found = SeedRecipe.fit(steady, seed=0).predict(steady, category_totals(steady))
    np.testing.assert_allclose(found.mean, size[:, 0], rtol=0.2)
    assert found.quantiles is None


def test_it_is_repeatable() -> None:
    shop = small_shop(products=20, months=10)
    first, second = (SeedRecipe.fit(shop, 1).predict(shop, category_totals(shop)).mean for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_one_month_is_not_enough_to_learn_from() -> None:
    with pytest.raises(NotEnoughHistory, match="1 months"):
        SeedRecipe.fit(small_shop(products=5, months=6).until(1), seed=0)
