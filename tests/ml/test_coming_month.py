"""The past as the coming month, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from ml.coming_month import STRENGTHS, as_coming, squared_errors
from ml.features import CategoryTotals
from ml.history import History
from tests.ml.small_history import small_shop

PATHS = CategoryTotals(("toys",), np.array([[9.0, 9.0]]), paths=np.array([[1.0, 2.0, 4.0]]))


def two_months(category: str = "toys") -> History:
    months = np.arange(np.datetime64("2026-01", "M"), np.datetime64("2026-03", "M"))
    return History(("a",), (category,), months, np.array([[3.0, 4.0]]), np.full((1, 2), np.nan))


@pytest.mark.parametrize(
    ("strength", "units"), [(1.0, [12.0, 8.0]), (0.5, [6.0, 32**0.5]), (0.0, [3.0, 4.0])]
)
def test_units_follow_the_path_of_their_category(strength: float, units: list[float]) -> None:
    np.testing.assert_allclose(as_coming(two_months(), PATHS, strength).units, [units])


def test_an_unknown_category_or_one_without_paths_stays_as_it_is() -> None:
    strange = as_coming(two_months("tools"), PATHS, 1.0)
    without = as_coming(two_months(), CategoryTotals(("toys",), PATHS.totals), 1.0)
    np.testing.assert_array_equal([strange.units[0], without.units[0]], [[3.0, 4.0]] * 2)


def test_a_shorter_history_takes_the_last_months_of_the_path() -> None:
    short = replace(
        two_months(), months=two_months().months[1:], units=np.array([[4.0]]), price_cents=np.ones((1, 1))
    )
    np.testing.assert_allclose(as_coming(short, PATHS, 1.0).units, [[8.0]])


def test_a_month_is_not_changed_beyond_measure() -> None:
    steep = replace(PATHS, paths=np.array([[1.0, 1000.0, 100.0]]))
    np.testing.assert_allclose(as_coming(two_months(), steep, 1.0).units, [[15.0, 0.8]])


@pytest.mark.parametrize(("power", "best"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_the_strength_that_products_followed_errs_least(power: float, best: float) -> None:
    path = np.exp(np.sin(np.arange(25) / 2))
    shop = small_shop(products=30, months=24)
    units = np.random.default_rng(0).uniform(5, 50, (30, 1)) * path**power
    history = replace(shop, units=units[:, :-1], categories=("toys",) * 30)
    totals = CategoryTotals(("toys",), np.ones((1, 24)), paths=path[np.newaxis])
    errors = squared_errors(history, totals, units[:, -1])
    assert STRENGTHS[int(np.argmin(errors))] == best
    assert errors.min() < 0.01 * errors.max()
