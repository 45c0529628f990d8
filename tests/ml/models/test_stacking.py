"""Weights are those of the textbook and follow the evidence; shares move towards what was better."""

import numpy as np
import pytest
from scipy import optimize

from ml.distribution import LEVELS, Prediction
from ml.hindcasts import Hindcast
from ml.metrics import scaled_pinball
from ml.models.stacking import (
    RIDGE,
    average,
    level_shares,
    levelled,
    mean_weights,
    ridge_to_equal,
    usual_units,
)
from tests.ml.small_history import small_shop


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_those_of_non_negative_least_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = rng.gamma(2, 1, (200, 4))
    target = columns @ np.array([0.7, 0.0, 0.4, 0.0]) + rng.normal(0, 0.2, 200)
    size = RIDGE * np.sqrt(200)
    stacked = np.vstack([columns, size * np.eye(4)])
    expected, _ = optimize.nnls(stacked, np.concatenate([target, np.full(4, size / 4)]))
    np.testing.assert_allclose(ridge_to_equal(columns, target), expected, atol=1e-8)


def test_the_mean_follows_the_better_member_and_drops_one_that_lost_to_the_last() -> None:
    shop, rng = small_shop(products=60, months=12), np.random.default_rng(0)
    past = shop.until(11)
    actual = shop.units[:, 11]
    noise = [np.maximum(np.nan_to_num(actual) * factor, 0.0) for factor in (1.0, 4.0)]
    naive = np.nan_to_num(past.units[:, -1]) + rng.gamma(1, 1, shop.n)
    members = [[Hindcast(past, Prediction(mean, None), actual)] for mean in (*noise, naive)]
    weights = levelled(mean_weights(members, usual_units))
    assert weights[1] == 0.0
    assert weights[0] > 2 * weights[2] > 0


def test_weights_add_up_to_one_when_all_members_were_too_high() -> None:
    shop = small_shop(products=60, months=12)
    past, actual = shop.until(11), shop.units[:, 11]
    members = [[Hindcast(past, Prediction(2.0 * np.nan_to_num(actual), None), actual)] for _ in range(3)]
    raw = mean_weights(members, usual_units)
    assert raw.sum() < 0.7
    assert levelled(raw).sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(levelled(np.zeros(3)), 0.0)


def test_without_any_past_all_members_weigh_the_same() -> None:
    np.testing.assert_allclose(levelled(mean_weights([[], [], []], usual_units)), 1 / 3)


def test_shares_move_to_the_better_distribution_and_lower_the_loss() -> None:
    rng = np.random.default_rng(1)
    actual, scale = rng.poisson(20, 900).astype(float), np.full(900, 5.0)
    right = np.tile(np.quantile(rng.poisson(20, 100_000), LEVELS), (900, 1))
    levels, start = np.stack([right, 1.5 * right, 1.7 * right]), np.array([0.2, 0.4, 0.4])
    shares = level_shares(levels, actual, scale, start, 0)

    def loss(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return float(np.mean(scaled_pinball(actual, average(levels, weights), LEVELS, scale)))

    assert shares.sum() == pytest.approx(1.0)
    assert np.all(shares > 0)
    assert shares[0] > 1.5 * start[0]
    assert loss(shares) < loss(start)


def test_equally_good_distributions_keep_their_shares() -> None:
    rng = np.random.default_rng(2)
    levels = np.repeat(np.sort(rng.gamma(2, 5, (50, 8)), axis=1)[np.newaxis], 2, axis=0)
    start = np.array([0.3, 0.7])
    np.testing.assert_allclose(level_shares(levels, rng.gamma(2, 5, 50), np.ones(50), start, 0), start)


def test_without_rows_shares_stay() -> None:
    start = np.array([0.5, 0.5])
    np.testing.assert_array_equal(
        level_shares(np.empty((2, 0, 8)), np.empty(0), np.empty(0), start, 0), start
    )
