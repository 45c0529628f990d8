"""Earlier forecasts are made once, from earlier months only, and never for another history."""

from dataclasses import replace

import numpy as np
import pytest

from ml.features import build, category_totals, level
from ml.hindcasts import Hindcasts, calibration_window
from ml.models.boosting import TweedieTrees
from ml.models.mix import Mix
from ml.models.smoothing import MovingAverage
from tests.ml.small_history import small_shop
from tests.ml.small_plan import planned_shop, without_plan


def test_features_of_an_origin_are_those_of_the_months_before_it() -> None:
    shop = small_shop()
    past = shop.until(15)
    assert Hindcasts(shop, seed=0).features(15).tobytes() == build(past, category_totals(past)).tobytes()


def test_training_rows_are_earlier_origins_of_products_sold_before() -> None:
    shop = small_shop(products=12, months=5)
    rows = Hindcasts(shop, seed=0).training_rows(4, limit=1_000)
    expected = [shop.units[~np.isnan(shop.units[:, t - 1]), t] for t in (1, 2, 3)]
    np.testing.assert_array_equal(rows.units, np.concatenate(expected))
    known = ~np.isnan(shop.units[:, 2])
    last = slice(len(rows.units) - int(known.sum()), None)
    np.testing.assert_array_equal(rows.level[last], level(shop.until(3))[known])
    np.testing.assert_array_equal(rows.age[last], 1.0)
    assert rows.age[0] == 3.0


@pytest.mark.parametrize(("limit", "first"), [(7, 17), (8, 14), (1_000, 2)])
def test_training_rows_come_from_two_years_or_all_that_hold_ten_times_as_many(limit: int, first: int) -> None:
    shop = small_shop(products=3, months=40)
    history = replace(shop, units=np.repeat(np.arange(1.0, 41.0)[np.newaxis], 3, axis=0))
    drawn = [Hindcasts(history, seed).training_rows(40, limit) for seed in range(60)]
    assert {month for rows in drawn for month in rows.units.tolist()} == set(range(first, 41))
    assert all(np.array_equal(rows.age, 41.0 - rows.units) for rows in drawn)


def test_a_large_sample_is_cut_by_the_seed() -> None:
    shop = small_shop()
    samples = [Hindcasts(shop, seed).training_rows(24, limit=100).units.tobytes() for seed in (1, 1, 2)]
    assert samples[0] == samples[1]
    assert samples[0] != samples[2]
    assert len(samples[0]) == 100 * 8


def test_nothing_can_be_learned_before_the_second_month() -> None:
    assert len(Hindcasts(small_shop(), seed=0).training_rows(1, limit=10).units) == 0


def test_each_forecast_is_made_once() -> None:
    hindcasts = Hindcasts(small_shop(products=10), seed=0)
    assert hindcasts.prediction(TweedieTrees, 20) is hindcasts.prediction(TweedieTrees, 20)
    assert hindcasts.seconds["lightgbm_tweedie"] > 0


def test_a_shared_cache_changes_nothing() -> None:
    shop = small_shop(products=10)
    shared = Hindcasts(shop, seed=3)
    shared.prediction(TweedieTrees, 23)
    past = shop.until(20)
    assert TweedieTrees.fit(past, 3, shared).state() == TweedieTrees.fit(past, 3).state()


def test_calibration_learns_from_the_last_six_months_with_their_outcome() -> None:
    shop = small_shop(products=10)
    past = Hindcasts(shop, seed=0).before(MovingAverage, 24)
    assert [hindcast.history.T for hindcast in past] == [18, 19, 20, 21, 22, 23]
    np.testing.assert_array_equal(past[0].actual, shop.units[:, 18])


def test_calibration_does_not_reach_behind_the_first_origin() -> None:
    past = Hindcasts(small_shop(products=10), seed=0, first=21).before(MovingAverage, 23)
    assert [hindcast.history.T for hindcast in past] == [21, 22]


@pytest.mark.parametrize(("products", "origins"), [(1, 24), (200, 20), (667, 6), (40_000, 6), (0, 24)])
def test_few_products_are_calibrated_on_more_months(products: int, origins: int) -> None:
    assert calibration_window(products) == origins


def test_with_a_plan_all_months_of_two_years_calibrate() -> None:
    assert calibration_window(40_000, planned=True) == 24
    shop, _ = planned_shop(products=400, months=14)
    for history, months in ((shop, 12), (without_plan(shop), 10)):
        assert len(Hindcasts(history, seed=0, first=2).before(MovingAverage, 14)) == months


def test_a_model_that_calibrates_itself_needs_no_hindcasts() -> None:
    assert Hindcasts(small_shop(products=10), seed=0).before(Mix, 24) == []


def test_hindcasts_of_other_data_are_refused() -> None:
    shop = small_shop(products=10)
    other = Hindcasts(small_shop(products=10, seed=9), seed=0)
    with pytest.raises(ValueError, match="another history"):
        TweedieTrees.fit(shop, 0, other)
