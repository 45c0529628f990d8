"""Intervals and tests by product and month, against textbook formulas, scipy and plain resampling."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ml.inference import (
    bootstrap,
    diebold_mariano,
    holm,
    ratio_error,
    student_quantile,
    student_tail,
    student_two_sided,
)

Floats = NDArray[np.float64]


def pair(seed: int, products: int = 60, months: int = 5) -> tuple[Floats, Floats]:
    """Losses of two forecasters with luck by product and by month."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(2, 0.5, (products, months))
    luck = rng.normal(0, 0.3, (products, 1)) + rng.normal(0, 0.2, (1, months))
    return base * np.exp(luck + rng.normal(0, 0.2, (products, months))), base


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 8, 23, 24])
def test_the_tail_of_students_distribution(freedom: int) -> None:
    for t in (0.0, 0.3, 1.0, 2.5, 9.0):
        assert student_two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-12)
        assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), abs=1e-12)
        assert student_tail(-t, freedom) == pytest.approx(stats.t.sf(-t, freedom), abs=1e-12)


def test_without_a_degree_of_freedom_nothing_is_sure() -> None:
    assert student_tail(100.0, 0) == 1.0
    assert student_tail(float("nan"), 5) == 1.0


@pytest.mark.parametrize("freedom", [1, 2, 5, 11])
def test_the_quantile_of_students_distribution(freedom: int) -> None:
    for share in (0.5, 0.9, 0.975, 0.999):
        expected = stats.t.ppf(share, freedom)
        assert student_quantile(share, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_holms_correction_by_hand() -> None:
    """.01 counts 3 times, .02 twice, .9 once, none less than a smaller one."""
    assert holm([0.02, 0.01, 0.9]) == pytest.approx([0.04, 0.03, 0.9])
    assert holm([0.02, 0.011]) == pytest.approx([0.022, 0.022])
    assert holm([]) == []


def test_the_corrected_statistic_of_one_step_is_students() -> None:
    """Harvey, Leybourne and Newbold's factor makes the one-step statistic that of a t test."""
    differences = np.array([-0.3, 0.1, -0.2, -0.5, 0.05, -0.1])
    expected = stats.ttest_1samp(differences, 0.0)
    assert diebold_mariano(differences) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("months", [[], [0.1], [0.2, 0.2, 0.2]])
def test_months_without_variation_have_no_statistic(months: list[float]) -> None:
    assert np.isnan(diebold_mariano(np.array(months))).all()


def test_the_interval_is_that_of_drawing_products_and_months_one_by_one() -> None:
    top, bottom = pair(2)
    rng, ratios = np.random.default_rng(99), []
    for _ in range(4_000):
        products, months = rng.integers(0, 60, 60), rng.integers(0, 5, 5)
        drawn = np.ix_(products, months)
        ratios.append(np.log(top[drawn].sum() / bottom[drawn].sum()))
    ratio = top.sum() / bottom.sum()
    reach = stats.t.ppf(0.975, 4) * np.std(ratios) * np.sqrt(5 / 4)
    found = bootstrap(top, bottom, seed=1, draws=4_000, confidence=0.95)
    assert found.ratio == pytest.approx(ratio)
    assert np.log(found.upper / ratio) == pytest.approx(reach, rel=0.05)
    assert np.log(ratio / found.lower) == pytest.approx(reach, rel=0.05)


def test_the_error_of_a_part_is_that_of_clustering_both_ways() -> None:
    """Linearised ratio; V = V(products) + V(months) - V(pairs), summed in plain loops."""
    top, bottom = pair(3)
    tested = np.random.default_rng(1).random(top.shape) < 0.7
    pairs = [(i, k) for i in range(60) for k in range(5) if tested[i, k]]
    total = sum(bottom[each] for each in pairs)
    ratio = sum(top[each] for each in pairs) / total
    score = {each: (top[each] - ratio * bottom[each]) / total for each in pairs}
    products, months = {i for i, _ in pairs}, {k for _, k in pairs}
    by_product = sum(sum(score[each] for each in pairs if each[0] == i) ** 2 for i in products)
    by_month = sum(sum(score[each] for each in pairs if each[1] == k) ** 2 for k in months)
    by_pair = sum(each**2 for each in score.values())
    n = len(products)
    expected = by_product * n / (n - 1) + by_month * 5 / 4 - by_pair
    error, freedom = ratio_error(top, bottom, tested)
    assert error**2 == pytest.approx(expected)
    assert freedom == 4


def test_one_month_or_one_product_has_no_error() -> None:
    top, bottom = pair(3)
    only = np.zeros(top.shape, dtype=np.bool_)
    only[:, 2] = True
    assert ratio_error(top, bottom, only) == (np.inf, 0)
    assert ratio_error(top, bottom, np.eye(60, 5, dtype=np.bool_) & only) == (np.inf, 0)


def test_the_same_seed_gives_the_same_bits() -> None:
    tables = pair(4)
    first, again, other = (bootstrap(*tables, seed=seed, draws=200, confidence=0.95) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_challenger_without_loss_has_an_interval_of_zero() -> None:
    _, bottom = pair(4)
    found = bootstrap(np.zeros(bottom.shape), bottom, seed=1, draws=50, confidence=0.95)
    assert (found.ratio, found.lower, found.upper) == (0.0, 0.0, 0.0)


def test_ten_thousand_products_take_less_than_three_seconds_of_processor() -> None:
    top, bottom = pair(5, products=10_000, months=6)
    started = time.process_time()
    bootstrap(top, bottom, seed=1, draws=1_000, confidence=0.95)
    assert time.process_time() - started < 3
