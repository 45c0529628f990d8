"""Sales of months without stock are completed to the demand that was there."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.censoring import CENSORED_SHARE, censored, with_latent_demand
from ml.history import History
from tests.ml.models.series import series

NAN = float("nan")
Array = np.ndarray[Any, Any]


def stocked_out(products: int, months: int, seed: int, *, by_demand: bool) -> tuple[Array, Array, Array]:
    """True demand, sales and share of days without stock of a shop whose shelves run empty.

    Demand is gamma-Poisson by month and Poisson by day. Stock runs out for a random number of days, or on the day
    when more was wanted than the shelf held: months of high demand are then cut more often.
    """
    rng = np.random.default_rng(seed)
    mean = rng.uniform(5, 60, products)[:, np.newaxis]
    rate = rng.gamma(4, mean / 4, (products, months))
    by_day = rng.poisson(rate[..., np.newaxis] / 30, (products, months, 30))
    stocked = np.ones(by_day.shape, dtype=bool)
    hit = rng.random((products, months)) < 0.4
    if by_demand:
        shelf = np.where(hit, 0.7 * mean, np.inf)
        stocked = np.cumsum(by_day, axis=2) - by_day < shelf[..., np.newaxis]
    else:
        out = np.where(hit, rng.integers(8, 31, hit.shape), 0)
        stocked = np.arange(30) < 30 - out[..., np.newaxis]
    return by_day.sum(axis=2), (by_day * stocked).sum(axis=2), 1 - stocked.mean(axis=2)


@pytest.mark.parametrize("by_demand", [False, True], ids=["days out at random", "the shelf runs empty"])
def test_the_mean_of_latent_demand_is_within_5_percent(*, by_demand: bool) -> None:
    demand, sold, out = stocked_out(400, 36, 11, by_demand=by_demand)
    history = series(*sold.astype(float))
    hidden = censored(history, out)
    found = with_latent_demand(history, out).units
    assert hidden.mean() > 0.1
    assert found[hidden].mean() == pytest.approx(demand[hidden].mean(), rel=0.05)
    assert sold[hidden].mean() < 0.8 * demand[hidden].mean(), "sales alone would be far too low"
    np.testing.assert_array_equal(found[~hidden], sold[~hidden])
    assert np.all(found >= sold)


def test_no_stock_data_changes_nothing() -> None:
    history = series([3, 4, 5], [NAN, 2, 0])
    assert with_latent_demand(history, np.zeros((2, 3))) is history


def test_a_fifth_of_the_days_is_the_limit() -> None:
    out = np.array([[CENSORED_SHARE, CENSORED_SHARE + 1e-9, 1.0], [1.0, 0.0, 0.0]])
    history = series([3, 4, 5], [NAN, 2, 0])
    assert censored(history, out).tolist() == [[False, True, True], [False, False, False]]


def test_a_month_wholly_without_stock_is_a_usual_one() -> None:
    out = np.zeros((1, 13))
    out[0, 12] = 1.0
    assert with_latent_demand(series([10.0] * 12 + [0.0]), out).units[0, 12] == 10


def test_a_first_month_goes_on_at_its_own_pace() -> None:
    out = np.array([[0.5, 0.0]])
    assert with_latent_demand(series([6.0, 9.0]), out).units.tolist() == [[12.0, 9.0]]


def test_a_month_depends_on_no_later_one() -> None:
    _, sold, out = stocked_out(20, 24, 3, by_demand=False)
    whole, later = series(*sold.astype(float)), sold.astype(float)
    later[:, 15:] = later[:, 15:] * 7 + 3
    out_later = out.copy()
    out_later[:, 15:] = 0.9
    before = with_latent_demand(whole, out).units[:, :15]
    np.testing.assert_array_equal(
        with_latent_demand(replace(whole, units=later), out_later).units[:, :15], before
    )
    np.testing.assert_array_equal(with_latent_demand(whole.until(15), out[:, :15]).units, before)


def test_units_stay_whole_so_that_sums_of_categories_are_exact() -> None:
    _, sold, out = stocked_out(30, 24, 5, by_demand=True)
    history: History = with_latent_demand(series(*sold.astype(float)), out)
    np.testing.assert_array_equal(history.units, np.round(history.units))
