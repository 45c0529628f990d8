"""A product in its first months leans on what others of its category sold in theirs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ml.calibration import Calibration
from ml.distribution import LEVELS, Prediction, mean_of
from ml.hindcasts import Hindcast
from ml.history import History
from ml.newcomers import Newcomers
from tests.ml.models.series import series
from tests.ml.small_history import small_shop

NAN = float("nan")
TABLE = np.stack([np.arange(8.0), 10 + np.arange(8.0)])


def young(months: Sequence[int]) -> History:
    """Products that were sold for so many months only."""
    return series(*([NAN] * (12 - count) + [5.0] * count for count in months))


def test_quantiles_are_those_of_products_up_to_their_sixth_month() -> None:
    past = young([0, 1, 5, 6])
    hindcast = Hindcast(past, Prediction(np.zeros(4), None), np.array([NAN, 8.0, 4.0, 100.0]))
    found = Newcomers.fit([hindcast])
    assert found.categories == ("any",)
    np.testing.assert_allclose(found.quantiles[-1], 4 + 4 * np.array(LEVELS))


def test_a_small_category_is_shrunk_to_all() -> None:
    past = replace(young([2] * 30), categories=("rare",) * 10 + ("common",) * 20)
    actual = np.array([30.0] * 10 + [0.0] * 20)
    found = Newcomers.fit([Hindcast(past, Prediction(np.zeros(30), None), actual)])
    assert found.categories == ("common", "rare")
    assert found.quantiles[:, 3].tolist() == pytest.approx([0.0, 10 / 30 * 30, 0.0])


def test_months_of_its_own_count_more_and_more() -> None:
    shop = young([0, 1, 2, 3])
    point = Prediction(np.full(4, 100.0), np.repeat([np.full(8, 100.0)], 4, axis=0))
    found = Newcomers(("any",), TABLE).mixed_into(point, shop)
    for row, weight in enumerate((0, 1 / 3, 1 / 2, 1)):
        np.testing.assert_allclose(found.levels[row], weight * 100 + (1 - weight) * TABLE[0])
        expected = weight * 100 + (1 - weight) * float(mean_of(TABLE[:1])[0])
        assert found.mean[row] == pytest.approx(expected)


def test_a_category_nobody_knows_starts_like_all() -> None:
    shop = replace(young([0, 0]), categories=("never seen", "any"))
    found = Newcomers(("any",), TABLE).mixed_into(Prediction(np.zeros(2), np.zeros((2, 8))), shop)
    np.testing.assert_array_equal(found.levels, TABLE[::-1])


def test_without_any_new_product_nothing_is_assumed() -> None:
    assert Newcomers.fit([]).quantiles.tolist() == [[0.0] * 8]


def test_calibration_answers_for_products_that_never_sold() -> None:
    shop = small_shop(products=4)
    units = shop.units.copy()
    units[1] = NAN
    calibration = replace(Calibration.fit("residuals", []), newcomers=Newcomers((), TABLE[:1]))
    found = calibration.apply(replace(shop, units=units), Prediction(np.zeros(4), None))
    np.testing.assert_array_equal(found.levels[1], TABLE[0])
