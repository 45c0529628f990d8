"""Quantiles agree with scipy, where units are counted exactly and where they are approximated closely."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ml.distribution import LEVELS
from ml.negative_binomial import LARGEST_COUNTED_MEAN, NORMAL_QUANTILES, dispersion, quantiles


def oracle(mean: float, spread: float) -> NDArray[np.float64]:
    size = 1 / spread
    return np.asarray(stats.nbinom.ppf(LEVELS, size, size / (size + mean)))


@pytest.mark.parametrize("spread", [1e-3, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("mean", [0.02, 0.7, 4.0, 31.5, LARGEST_COUNTED_MEAN])
def test_small_means_have_exact_whole_quantiles(mean: float, spread: float) -> None:
    found = quantiles(np.array([mean]), np.array([spread]))
    assert found[0].tolist() == oracle(mean, spread).tolist()


@pytest.mark.parametrize("spread", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("mean", [51.0, 400.0, 20_000.0])
def test_large_means_are_within_four_percent_of_the_mean(mean: float, spread: float) -> None:
    found = quantiles(np.array([mean]), np.array([spread]))
    np.testing.assert_allclose(found[0], oracle(mean, spread), atol=0.04 * mean)


def test_a_mean_of_zero_has_no_units() -> None:
    assert quantiles(np.array([0.0]), np.array([0.5])).tolist() == [[0.0] * 8]


def test_normal_quantiles_are_those_of_the_levels() -> None:
    np.testing.assert_allclose(NORMAL_QUANTILES, stats.norm.ppf(LEVELS), atol=1e-12)


def test_dispersion_comes_from_the_second_moment() -> None:
    # (8 - 4)^2 - 4 = 12 and (2 - 4)^2 - 4 = 0 over 16 + 16
    assert dispersion(np.array([4.0, 4.0]), np.array([8.0, 2.0])) == pytest.approx(12 / 32)


def test_dispersion_is_recovered_from_simulated_counts() -> None:
    mean = np.random.default_rng(3).uniform(2, 60, 40_000)
    units = np.random.default_rng(4).negative_binomial(2.5, 2.5 / (2.5 + mean)).astype(float)
    assert dispersion(mean, units) == pytest.approx(0.4, rel=0.05)


def test_less_spread_than_poisson_counts_as_poisson() -> None:
    assert dispersion(np.full(5, 9.0), np.full(5, 9.0)) == 1e-3
    assert dispersion(np.empty(0), np.empty(0)) == 1e-3
