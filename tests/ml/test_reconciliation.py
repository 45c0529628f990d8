"""The closed form that benchmarks/categories.py reconciles by, against the dense normal equations."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.categories import direct_weight, reconciled

Floats = NDArray[np.float64]


def dense(base: Floats, variance: Floats, code: NDArray[np.intp]) -> Floats:
    """Category means of generalised least squares on the whole summing matrix of products, categories, total."""
    products, categories = len(code), code.max() + 1
    summing = np.vstack(
        [np.eye(products), code == np.arange(categories)[:, np.newaxis], np.ones((1, products))]
    )
    weighted = summing.T / variance
    bottom = np.linalg.solve(weighted @ summing, weighted @ base)
    return np.array([bottom[code == k].sum() for k in range(categories)])


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_least_squares_solution_of_the_whole_tree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    categories = int(rng.integers(1, 8))
    code = np.concatenate([np.arange(categories), rng.integers(0, categories, 20)])
    means, variance = rng.gamma(5, 50, len(code)), rng.gamma(2, 10, len(code))
    direct, direct_variance = rng.gamma(5, 200, categories + 1), rng.gamma(2, 50, categories + 1)
    wanted = dense(np.append(means, direct), np.append(variance, direct_variance), code)
    sums, variances = (
        np.array([values[code == k].sum() for k in range(categories)]) for values in (means, variance)
    )
    made = reconciled(sums, variances, direct, direct_variance)
    assert made == pytest.approx(np.maximum(wanted, 0.0), rel=1e-9)


def test_no_category_becomes_negative() -> None:
    one = np.ones(2)
    made = reconciled(np.array([1.0, 500.0]), one, np.array([1.0, 500.0, 10.0]), np.append(one, 1e-3))
    assert made.min() == 0


def test_a_direct_forecast_counts_by_its_past_errors() -> None:
    small, large = np.array([1.0, -1.0, 1.0]), np.array([9.0, 8.0, -9.0])
    assert direct_weight(small, large) < 0.1
    assert direct_weight(large, small) > 0.9
    assert direct_weight(small, small) == 0
