"""Categories and shop: means that add up, quantiles of sums against closed forms of sums."""

import json
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dependence import Dependence
from ml.distribution import LEVELS, mean_of
from ml.forecasting import encoded
from ml.group_forecasts import group_forecasts, with_mean

NORMAL = NormalDist()
ALONE = Dependence()


def answer(product: int, category: str, mean: float, quantiles: list[float]) -> bytes:
    named = {f"{level:.2f}": units for level, units in zip(LEVELS, quantiles, strict=True)}
    fields = {"product_id": f"P{product}", "category": category, "mean": mean, "quantiles": named}
    return encoded({**fields, "probability_mass": None})


def normal(product: int, category: str, mean: float, deviation: float) -> bytes:
    return answer(product, category, mean, [mean + deviation * NORMAL.inv_cdf(level) for level in LEVELS])


def values(group: dict[str, Any]) -> list[float]:
    return list(group["quantiles"].values())


@pytest.mark.parametrize("shared", [0.0, 0.3])
def test_quantiles_of_a_sum_of_normals_are_those_of_its_variance(shared: float) -> None:
    """Variance of a sum of n with correlation r is n s^2 (1 + (n - 1) r); adding quantiles would take r = 1."""
    n, mean, deviation = 50, 1_000.0, 100.0
    made = group_forecasts([normal(i, "c", mean, deviation) for i in range(n)], Dependence(shop=shared))
    spread = deviation * math.sqrt(n * (1 + (n - 1) * shared))
    wanted = [n * mean + spread * NORMAL.inv_cdf(level) for level in LEVELS]
    assert values(made["total_forecast"]) == pytest.approx(wanted, abs=0.2 * spread)
    added = n * (mean + deviation * NORMAL.inv_cdf(0.99))
    assert values(made["total_forecast"])[-1] < added - 2 * 0.2 * spread, "the control"


def test_a_factor_of_a_category_widens_it_and_not_the_others() -> None:
    products = [normal(i, "ab"[i % 2], 1_000.0, 100.0) for i in range(60)]
    alone, together = (
        group_forecasts(products, dependence) for dependence in (ALONE, Dependence(category=0.5))
    )
    width = {
        name: np.ptp(values(made["category_forecasts"]["a"]))
        for name, made in (("0", alone), ("c", together))
    }
    assert width["c"] > 3 * width["0"]
    variances = [np.ptp(values(together["category_forecasts"][name])) ** 2 for name in "ab"]
    assert np.ptp(values(together["total_forecast"])) ** 2 == pytest.approx(sum(variances), rel=0.2)


POSITIVE = st.floats(0, 1e5)
PRODUCT = st.tuples(st.sampled_from("abc"), POSITIVE, st.lists(POSITIVE, min_size=8, max_size=8).map(sorted))


@given(st.lists(PRODUCT, max_size=12), st.floats(0, 0.5), st.floats(0, 0.5))
def test_means_add_up_and_nothing_is_negative_or_crosses(
    products: list[tuple[str, float, list[float]]], shop: float, category: float
) -> None:
    answers = [answer(i, *product) for i, product in enumerate(products)]
    made = group_forecasts(answers, Dependence(shop, category), draws=64)
    categories, total = made["category_forecasts"], made["total_forecast"]
    assert set(categories) == {name for name, _, _ in products}
    for name, group in categories.items():
        means = [mean for own, mean, _ in products if own == name]
        assert group["mean"] == pytest.approx(math.fsum(means), abs=1e-4)
        assert group["products"] == len(means)
    assert total["mean"] == pytest.approx(math.fsum(g["mean"] for g in categories.values()), abs=1e-4)
    assert total["products"] == len(products)
    for group in (*categories.values(), total):
        found = values(group)
        assert found == sorted(found)
        assert found[0] >= 0
    json.dumps(made, allow_nan=False)


def test_one_product_alone_keeps_its_quantiles() -> None:
    row = [0.0, 1.0, 2.0, 4.0, 7.0, 12.0, 15.0, 30.0]
    mean = float(mean_of(np.array([row]))[0])
    made = group_forecasts([answer(0, "c", mean, row)], draws=20_000)
    assert values(made["category_forecasts"]["c"]) == pytest.approx(row, abs=0.6), "whole units are drawn"
    assert made["category_forecasts"]["c"]["mean"] == pytest.approx(mean, abs=1e-4)


def test_the_same_seed_gives_the_same_quantiles_and_another_seed_others() -> None:
    products = [normal(i, "c", 50.0, 20.0) for i in range(9)]
    first, again, other = (group_forecasts(products, seed=seed, draws=200) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_draws_are_stretched_to_the_mean_and_a_mean_without_draws_is_sure() -> None:
    assert with_mean(np.array([0.0, 1.0, 3.0]), 8.0).tolist() == [0.0, 6.0, 18.0]
    assert with_mean(np.zeros(3), 0.2).tolist() == [0.2, 0.2, 0.2]


def test_a_shop_without_products_sells_nothing() -> None:
    made = group_forecasts([])
    assert made["category_forecasts"] == {}
    assert (made["total_forecast"]["mean"], set(values(made["total_forecast"]))) == (0, {0.0})
