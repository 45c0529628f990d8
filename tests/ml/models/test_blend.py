"""The blend: its parts in their shares, its mean the weighted one, and better than its members on a known process."""

import numpy as np
import pytest

from ml.distribution import LEVELS
from ml.features import category_totals
from ml.hindcasts import Hindcasts
from ml.models.adjusted import AdjustedQuantileTrees
from ml.models.blend import MEMBERS, PLANNED_MEMBERS, Blend
from ml.models.boosting import QuantileTrees, TweedieTrees
from ml.models.empirical import Empirical
from ml.models.smoothing import Naive
from tests.ml.small_history import small_shop


def test_distributions_stand_first_and_the_yardstick_last() -> None:
    for members, first in ((MEMBERS, AdjustedQuantileTrees), (PLANNED_MEMBERS, QuantileTrees)):
        own = [member.uncertainty == "quantiles" for member in members]
        assert own == sorted(own, reverse=True)
        assert members[0] is first
        assert members[-1] is Naive


def test_without_any_past_members_weigh_the_same_and_shares_are_the_start() -> None:
    shop = small_shop(products=20, months=6)
    blend = Blend.fit(shop, 0, Hindcasts(shop, seed=0, first=6))
    np.testing.assert_allclose(blend.weights, 1 / len(MEMBERS))
    np.testing.assert_allclose(blend.shares, [0.25, 0.25, 0.25, 0.125, 0.125])


def test_the_mean_is_the_weighted_mean_of_the_members() -> None:
    shop = small_shop(products=24, months=16)
    hindcasts = Hindcasts(shop, 2, first=13)
    blend, totals = Blend.fit(shop, 2, hindcasts), category_totals(shop)
    settled = np.flatnonzero((~np.isnan(shop.units)).sum(axis=1) >= 3)
    by_hand = sum(
        weight * member.predict(shop, totals).mean
        for member, weight in zip(blend.members, blend.weights, strict=True)
    )
    np.testing.assert_allclose(blend.predict(shop, totals).mean[settled], np.asarray(by_hand)[settled])


def test_a_blend_of_before_shared_seasons_is_read_and_is_the_average_of_its_four_parts() -> None:
    shop = small_shop(products=24, months=16)
    now = Blend.fit(shop, 2, Hindcasts(shop, 2, first=13))
    then = tuple(member.fit(shop, 2) for member in (QuantileTrees, Empirical, TweedieTrees))
    old = Blend(then, np.array([0.5, 0.2, 0.3]), now.calibrations, np.full(4, 0.25), now.last)
    totals = category_totals(shop)
    read = Blend.from_state(old.state()).predict(shop, totals)
    assert read.levels.tobytes() == old.predict(shop, totals).levels.tobytes()
    assert not np.array_equal(read.levels, now.predict(shop, totals).levels)


def test_shares_follow_the_evidence() -> None:
    """Months are independent with one rate, so the own months are right and the start undervalues them."""
    rng = np.random.default_rng(0)
    shop = small_shop(products=80, months=30)
    units = rng.poisson(rng.uniform(2, 40, (80, 1)), (80, 30)).astype(float)
    steady = type(shop)(shop.product_ids, shop.categories, shop.months, units, shop.price_cents)
    shares = Blend.fit(steady, 0).shares
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] < 0.25


def test_levels_are_held_on_months_that_were_not_calibrated_on() -> None:
    shop = small_shop(products=300, months=26, seed=4)
    past = shop.until(25)
    levels = Blend.fit(past, 0).predict(past, category_totals(past)).levels
    known = ~np.isnan(shop.units[:, 24:26]).any(axis=1)
    actual = shop.units[known, 25, np.newaxis]
    below, up_to = (actual < levels[known]).mean(axis=0), (actual <= levels[known]).mean(axis=0)
    chance = 3 * np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / known.sum()) + 0.01
    assert np.all(below <= np.array(LEVELS) + chance)
    assert np.all(up_to >= np.array(LEVELS) - chance)
