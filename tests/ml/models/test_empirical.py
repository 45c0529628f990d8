"""Own quantiles of the last year, shrunk to those of the demand class."""

import numpy as np
import pytest

from ml.demand_class import CLASSES
from ml.distribution import LEVELS
from ml.features import category_totals
from ml.models.empirical import Empirical
from tests.ml.models.series import series

NAN = float("nan")
YEAR = [float(k) for k in (7, 3, 12, 5, 9, 1, 8, 2, 11, 6, 10, 4)]


def test_a_year_of_months_counts_two_thirds() -> None:
    classes = np.zeros((len(CLASSES), 8))
    shop = series(YEAR)
    found = Empirical(classes).predict(shop, category_totals(shop)).levels[0]
    # the k-th smallest of twelve is the smallest with k / 12 >= level
    own = [1, 2, 3, 6, 9, 11, 12, 12]
    assert found.tolist() == pytest.approx([value * 12 / 18 for value in own])


def test_older_months_do_not_count() -> None:
    shop, longer = series(YEAR), series([900.0] * 3 + YEAR)
    model = Empirical(np.ones((len(CLASSES), 8)))
    now, later = (model.predict(h, category_totals(h)).levels for h in (shop, longer))
    np.testing.assert_array_equal(now, later)


def test_a_product_without_months_is_its_class() -> None:
    shop = series([NAN] * 12, YEAR)
    table = np.repeat(np.arange(8.0)[np.newaxis], len(CLASSES), axis=0)
    found = Empirical(table).predict(shop, category_totals(shop)).levels[0]
    np.testing.assert_array_equal(found, table[0] * 0.5)  # the level of a product without months


def test_class_quantiles_are_of_units_in_levels() -> None:
    shop = series(YEAR, [10 * value for value in YEAR])
    table = Empirical.fit(shop, seed=0).classes[CLASSES.index("smooth")]
    scaled = sorted([value / 6.75 for value in YEAR] + [10 * value / 65.25 for value in YEAR])
    expected = [scaled[int(np.ceil(share * 24)) - 1] for share in LEVELS]
    np.testing.assert_allclose(table, expected)


def test_a_class_nobody_is_in_has_the_quantiles_of_all() -> None:
    table = Empirical.fit(series(YEAR), seed=0).classes
    np.testing.assert_array_equal(table[CLASSES.index("lumpy")], table[CLASSES.index("smooth")])
