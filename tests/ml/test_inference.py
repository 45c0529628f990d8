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


def clustered(top: Floats, bottom: Floats, tested: NDArray[np.bool_]) -> tuple[float, int]:
    """Variance and Satterthwaite's degrees of freedom of a linearised ratio, summed in plain loops."""
    pairs = [(int(i), int(k)) for i, k in np.argwhere(tested)]
    total = sum(bottom[each] for each in pairs)
    ratio = sum(top[each] for each in pairs) / total
    score = {each: (top[each] - ratio * bottom[each]) / total for each in pairs}
    ways, sizes = [], []
    for axis in (0, 1):
        groups = {each[axis] for each in pairs}
        squares = [sum(score[each] for each in pairs if each[axis] == group) ** 2 for group in groups]
        ways.append(sum(squares) * len(groups) / (len(groups) - 1))
        sizes.append(len(groups))
    variance = sum(ways) - sum(each**2 for each in score.values())
    assert variance > max(ways)
    freedom = variance**2 / sum(way**2 / (size - 1) for way, size in zip(ways, sizes, strict=True))
    return float(variance), max(int(freedom), min(sizes) - 1)


def test_the_interval_is_that_of_drawing_products_and_months_one_by_one() -> None:
    top, bottom = pair(2)
    rng, ratios = np.random.default_rng(99), []
    for _ in range(4_000):
        products, months = rng.integers(0, 60, 60), rng.integers(0, 5, 5)
        drawn = np.ix_(products, months)
        ratios.append(np.log(top[drawn].sum() / bottom[drawn].sum()))
    ratio = top.sum() / bottom.sum()
    _, freedom = clustered(top, bottom, np.ones(top.shape, dtype=np.bool_))
    reach = stats.t.ppf(0.975, freedom) * np.std(ratios) * np.sqrt(5 / 4)
    found = bootstrap(top, bottom, seed=1, draws=4_000, confidence=0.95)
    assert found.ratio == pytest.approx(ratio)
    assert np.log(found.upper / ratio) == pytest.approx(reach, rel=0.05)
    assert np.log(ratio / found.lower) == pytest.approx(reach, rel=0.05)


def test_the_error_of_a_part_is_that_of_clustering_both_ways() -> None:
    top, bottom = pair(3)
    tested = np.random.default_rng(1).random(top.shape) < 0.7
    variance, freedom = clustered(top, bottom, tested)
    error, found = ratio_error(top, bottom, tested)
    assert error**2 == pytest.approx(variance)
    assert found == freedom


def test_freedom_is_that_of_the_months_where_they_decide_and_more_where_products_do() -> None:
    rng = np.random.default_rng(0)
    base = rng.gamma(2, 0.5, (400, 5))
    everything = np.ones(base.shape, dtype=np.bool_)
    by_month = base * np.exp(rng.normal(0, 0.3, (1, 5)))
    by_product = base * np.exp(rng.normal(0, 0.5, (400, 1)))
    assert ratio_error(by_month, base, everything)[1] == 4
    assert ratio_error(by_product, base, everything)[1] > 20
    assert ratio_error(base, base, everything) == (0.0, 4)


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
