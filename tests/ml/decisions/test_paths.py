"""Joint paths: margins stay, dependence is what was asked for, quantiles do not add."""

import numpy as np
import pytest
from scipy.stats import nbinom, norm, spearmanr

from ml.decisions.demand import Demand
from ml.decisions.paths import draw_each, normal_score, over
from ml.dependence import Dependence

LAW = nbinom(2.0, 2 / 22)
MONTH = Demand(LAW.pmf(np.arange(400)))
FIFTY = [MONTH] * 50
GROUPS = ["a"] * 25 + ["b"] * 25


def draw_totals(demands: list[Demand], groups: list[str], dependence: Dependence, **how: int) -> np.ndarray:
    return np.stack(list(draw_each(demands, groups, dependence, **how)), axis=1)


def test_fifty_independent_products_need_far_less_than_the_sum_of_their_quantiles() -> None:
    """Negative binomial, mean 20, r = 2: the 90 % quantiles add up to 2,000, the sum's own is 1,136."""
    totals = draw_totals(FIFTY, GROUPS, Dependence(), draws=4_000).sum(axis=1)
    assert sum(demand.quantile(0.9) for demand in FIFTY) == 2_000
    assert np.quantile(totals, 0.9) == pytest.approx(1_136, rel=0.01)


def test_each_product_keeps_its_own_distribution_under_any_dependence() -> None:
    draws = draw_totals(FIFTY, GROUPS, Dependence(shop=0.3, category=0.4), draws=1_000)
    for column in draws.T[:5]:
        assert column.mean() == pytest.approx(20, rel=0.01)
        assert np.quantile(column, [0.1, 0.5, 0.9]).tolist() == pytest.approx(
            [MONTH.quantile(share) for share in (0.1, 0.5, 0.9)], abs=1
        )


def test_products_of_one_category_go_together_more_than_others() -> None:
    draws = draw_totals(FIFTY, GROUPS, Dependence(shop=0.2, category=0.4), draws=4_000, seed=3)
    within, across = spearmanr(draws[:, 0], draws[:, 1])[0], spearmanr(draws[:, 0], draws[:, 30])[0]
    expected = [6 / np.pi * np.arcsin(correlation / 2) for correlation in (0.6, 0.2)]
    assert [within, across] == pytest.approx(expected, abs=0.05)


def test_the_same_seed_has_the_same_draws() -> None:
    first, again, other = (
        draw_totals(FIFTY[:3], GROUPS[:3], Dependence(0.1), draws=100, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("months", [1, 3])
def test_independent_months_add_up_as_a_convolution(months: int) -> None:
    total = over(MONTH, months, 0.0)
    assert total.probability[:200] == pytest.approx(
        nbinom(2.0 * months, 2 / 22).pmf(np.arange(200)), abs=1e-5
    )


def test_months_whose_errors_stay_spread_wider() -> None:
    spread = {
        correlation: np.sqrt(total.expected(total.units**2) - total.mean**2)
        for correlation in (0.0, 0.5, 0.999)
        for total in [over(MONTH, 3, correlation)]
    }
    one = np.sqrt(MONTH.expected(MONTH.units**2) - MONTH.mean**2)
    assert spread[0.0] == pytest.approx(np.sqrt(3) * one, rel=0.01)
    assert spread[0.0] < spread[0.5] < spread[0.999]
    assert spread[0.999] == pytest.approx(3 * one, rel=0.03)
    assert over(MONTH, 3, 0.5).mean == pytest.approx(60, rel=0.01)


def test_a_dependence_is_found_again() -> None:
    random = np.random.default_rng(5)
    n, months, groups = 400, 12, 8
    stays = np.sqrt(0.5)

    def factor(rows: int) -> np.ndarray:
        values: np.ndarray = stays * random.standard_normal((rows, 1)) + stays * random.standard_normal(
            (rows, months)
        )
        return values

    code = np.arange(n) % groups
    found = [
        Dependence.fit(
            np.sqrt(0.1) * factor(1) + np.sqrt(0.2) * factor(groups)[code] + np.sqrt(0.7) * factor(n),
            [str(c) for c in code],
        )
        for _ in range(40)
    ]
    assert np.mean([d.shop for d in found]) == pytest.approx(0.1, abs=0.05)
    assert np.mean([d.category for d in found]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([d.months for d in found]) == pytest.approx(0.5, abs=0.05)


def test_independent_errors_have_no_dependence_and_unknown_ones_are_left_out() -> None:
    scores = np.random.default_rng(1).standard_normal((500, 6))
    scores[::3, 2] = np.nan
    found = Dependence.fit(scores, ["a", "b"] * 250)
    assert max(found.shop, found.category, found.months) < 0.02
    assert Dependence.fit(np.full((3, 2), np.nan), ["a"] * 3) == Dependence()


def test_scores_of_outcomes_of_the_forecast_are_standard_normal() -> None:
    random = np.random.default_rng(2)
    actual, uniform = LAW.rvs(4_000, random_state=random), random.random(4_000)
    scores = [normal_score(MONTH, float(a), float(u)) for a, u in zip(actual, uniform, strict=True)]
    assert np.quantile(scores, [0.1, 0.5, 0.9]) == pytest.approx(norm.ppf([0.1, 0.5, 0.9]), abs=0.06)
    assert np.std(scores) == pytest.approx(1.0, abs=0.03)


def test_no_correlation_outside_zero_and_one() -> None:
    for wrong in ((-0.1, 0.0, 0.0), (0.6, 0.6, 0.0), (0.0, 0.0, 1.5)):
        with pytest.raises(ValueError, match="is no correlation"):
            Dependence(*wrong)
