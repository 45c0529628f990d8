"""Boosted trees: the same data and seed give the same bytes, and they learn what is in the data."""

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import NotEnoughHistory
from ml.features import category_totals
from ml.models import boosting
from ml.models.boosting import PARAMETERS, QuantileTrees, TweedieTrees
from ml.models.smoothing import MovingAverage
from tests.ml.small_history import small_shop


@pytest.mark.parametrize("model", [QuantileTrees, TweedieTrees])
def test_the_same_data_and_seed_give_the_same_bytes(model: type[QuantileTrees | TweedieTrees]) -> None:
    shop = small_shop(products=30, months=18)
    first, second = (model.fit(shop, seed=4).state() for _ in range(2))
    assert first == second
    assert model.fit(shop, seed=5).state() != first


def test_one_thread_is_used_whatever_the_machine_has() -> None:
    text = TweedieTrees.fit(small_shop(products=10, months=8), seed=0).trees.text
    assert "[num_threads: 1]" in text
    assert "[deterministic: 1]" in text
    assert PARAMETERS["force_row_wise"] is True


def test_a_rule_that_holds_for_all_products_is_learned() -> None:
    """Every product sells 10 and 30 in turn; a moving average cannot know, trees over all products do."""
    shop = small_shop(products=60, months=20)
    turn = np.where(np.arange(20) % 2 == 0, 10.0, 30.0)
    size = np.random.default_rng(0).uniform(1, 50, (60, 1))
    regular = replace(shop, units=size * turn)
    totals = category_totals(regular)
    expected = 10.0 * size[:, 0]
    found = QuantileTrees.fit(regular, seed=0).predict(regular, totals)
    assert np.median(np.abs(found.levels[:, 3] / expected - 1)) < 0.1
    assert (
        np.median(np.abs(TweedieTrees.fit(regular, seed=0).predict(regular, totals).mean / expected - 1))
        < 0.1
    )
    assert np.median(np.abs(MovingAverage().point(regular) / expected - 1)) > 0.5


@pytest.mark.parametrize(("half_life", "expected"), [(0.25, 20.0), (1e9, 10.0)])
def test_an_old_month_counts_less_than_a_new_one(
    monkeypatch: pytest.MonkeyPatch, half_life: float, expected: float
) -> None:
    """After 10 comes 10, but in the last month twice as much."""
    shop = small_shop(products=200, months=10)
    units = np.full((200, 10), 10.0)
    units[:, -1] = 20.0
    history = replace(shop, units=units, extra={}, price_cents=np.full((200, 10), 100.0))
    monkeypatch.setattr(boosting, "HALF_LIFE", half_life)
    monkeypatch.setattr(boosting, "PARAMETERS", {**PARAMETERS, "num_leaves": 2, "min_data_in_leaf": 900})
    level = QuantileTrees.fit(history, seed=0).predict(history.until(9), category_totals(history.until(9)))
    assert np.median(level.levels[:, 3]) == pytest.approx(expected, rel=0.1)


def test_large_products_do_not_decide_for_small_ones() -> None:
    """Units are divided by the level: a product of 100,000 a month leaves the others as they are."""
    shop = small_shop(products=60, months=20)
    units = np.nan_to_num(shop.units, nan=1.0)
    units[0] = 100_000.0
    found = TweedieTrees.fit(replace(shop, units=units), seed=0).predict(
        replace(shop, units=units), category_totals(replace(shop, units=units))
    )
    assert found.mean[0] == pytest.approx(100_000, rel=0.3)
    own = units[1:, -12:].mean(axis=1)
    assert np.all(found.mean[1:] < 5 * own + 5)


def test_quantiles_spread_and_the_mean_lies_within() -> None:
    shop = small_shop(products=40)
    found = QuantileTrees.fit(shop, seed=0).predict(shop, category_totals(shop))
    assert np.all(np.diff(found.levels, axis=1) >= 0)
    assert np.mean(found.levels[:, 5] - found.levels[:, 1]) > 1
    assert np.all((found.mean >= found.levels[:, 0]) & (found.mean <= found.levels[:, 7] + 1))


@pytest.mark.parametrize("model", [QuantileTrees, TweedieTrees])
def test_one_month_is_not_enough_to_learn_from(model: type[QuantileTrees | TweedieTrees]) -> None:
    with pytest.raises(NotEnoughHistory, match="1 months of history hold no month to learn from"):
        model.fit(small_shop(products=5, months=6).until(1), seed=0)
