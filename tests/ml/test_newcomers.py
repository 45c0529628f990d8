"""A product in its first months leans on what others of its category sold in theirs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ml.calibration import Calibration
from ml.distribution import LEVELS, Prediction, mean_of
from ml.hindcasts import Hindcast
from ml.history import History
from ml.newcomers import Newcomers, dormant_outcomes, sale_rate
from tests.ml.models.series import series
from tests.ml.small_history import small_shop

NAN = float("nan")
TABLE = np.stack([np.arange(8.0), 10 + np.arange(8.0)])


def young(months: Sequence[int]) -> History:
    """Products that were sold for so many months only."""
    return series(*([NAN] * (12 - count) + [5.0] * count for count in months))


def test_quantiles_are_those_of_products_up_to_their_sixth_month() -> None:
    past = young([0, 1, 5, 6])
    hindcast = Hindcast(past, Prediction(np.zeros(4), None), np.array([NAN, 8.0, 4.0, 100.0]))
    found = Newcomers.fit([hindcast])
    assert found.categories == ("any",)
    np.testing.assert_allclose(found.quantiles[-1], 4 + 4 * np.array(LEVELS))


def test_a_small_category_is_shrunk_to_all() -> None:
    past = replace(young([2] * 30), categories=("rare",) * 10 + ("common",) * 20)
    actual = np.array([30.0] * 10 + [0.0] * 20)
    found = Newcomers.fit([Hindcast(past, Prediction(np.zeros(30), None), actual)])
    assert found.categories == ("common", "rare")
    assert found.quantiles[:, 3].tolist() == pytest.approx([0.0, 10 / 30 * 30, 0.0])


def test_months_of_its_own_count_more_and_more() -> None:
    shop = young([0, 1, 2, 3])
    point = Prediction(np.full(4, 100.0), np.repeat([np.full(8, 100.0)], 4, axis=0))
    found = Newcomers(("any",), TABLE).mixed_into(point, shop)
    for row, weight in enumerate((0, 1 / 3, 1 / 2, 1)):
        np.testing.assert_allclose(found.levels[row], weight * 100 + (1 - weight) * TABLE[0])
        expected = weight * 100 + (1 - weight) * float(mean_of(TABLE[:1])[0])
        assert found.mean[row] == pytest.approx(expected)


def test_a_category_nobody_knows_starts_like_all() -> None:
    shop = replace(young([0, 0]), categories=("never seen", "any"))
    found = Newcomers(("any",), TABLE).mixed_into(Prediction(np.zeros(2), np.zeros((2, 8))), shop)
    np.testing.assert_array_equal(found.levels, TABLE[::-1])


def test_without_any_new_product_nothing_is_assumed() -> None:
    assert Newcomers.fit([]).quantiles.tolist() == [[0.0] * 8]


def test_calibration_answers_for_products_that_never_sold() -> None:
    shop = small_shop(products=4)
    units = shop.units.copy()
    units[1] = NAN
    calibration = replace(Calibration.fit("residuals", []), newcomers=Newcomers((), TABLE[:1]))
    found = calibration.apply(replace(shop, units=units), Prediction(np.zeros(4), None))
    np.testing.assert_array_equal(found.levels[1], TABLE[0])


def beginners(products: int = 400, seed: int = 0) -> History:
    """Products first sold between March and December that go on selling about what they sold first."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(products):
        level, begin = rng.gamma(1.0, 20.0), int(rng.integers(2, 11))
        rows.append(
            [NAN] * begin + [float(max(1, rng.poisson(level)))] + list(rng.poisson(level, 11 - begin) * 1.0)
        )
    return series(*rows)


def hindcasts(history: History) -> list[Hindcast]:
    past = history.until(history.T - 1)
    return [Hindcast(past, Prediction(np.zeros(past.n), None), history.units[:, -1])]


def test_products_in_their_first_months_lean_on_those_that_began_like_them() -> None:
    found = Newcomers.fit(hindcasts(beginners()))
    assert found.starts.shape == (2, 8, 8)
    rows = [[NAN] * 11 + [units] for units in (2.0, 60.0)] + [[NAN] * 9 + [2.0] * 3]
    shop = series(*rows)
    point = Prediction(np.zeros(3), np.zeros((3, 8)))
    mixed = found.mixed_into(point, shop)
    assert mixed.levels[0, 3] < 5
    assert mixed.levels[1, 3] > 20
    assert mixed.levels[2].tolist() == [0.0] * 8, "three months stand for themselves"
    twice = found.mixed_into(Prediction(np.full(3, 8.0), np.full((3, 8), 8.0)), shop)
    np.testing.assert_allclose(twice.levels[:2] - mixed.levels[:2], 4.0)


def test_they_are_forecast_better_than_by_all_new_products_of_their_category() -> None:
    """The rule of before, which such a bundle still follows, is the control."""
    found = Newcomers.fit(hindcasts(beginners()))
    before = Newcomers(found.categories, found.quantiles)
    later = beginners(600, seed=9)
    for age in (1, 2):
        first = np.argmax(~np.isnan(later.units), axis=1)
        losses = []
        for rule in (found, before):
            total = 0.0
            for t in range(6, 11):
                past = later.until(t)
                rows = np.flatnonzero(first == t - age)
                naive = np.repeat(past.units[:, -1:], 8, axis=1)
                made = rule.mixed_into(Prediction(past.units[:, -1], naive), past).levels[rows]
                error = later.units[rows, t][:, np.newaxis] - made
                total += float(np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error).sum())
            losses.append(total)
        assert losses[0] < 0.95 * losses[1]


def sleepers(awake: int, asleep: int = 60) -> History:
    """Products without a sale for a year, of which some sold a unit in the newest month."""
    rows = [[5.0] + [0.0] * 13 + [1.0 if i < awake else 0.0] for i in range(asleep)]
    return series(*rows, [3.0] * 15)


def test_a_product_without_a_sale_in_a_year_is_not_forecast_by_a_model() -> None:
    history = sleepers(0)
    found = Newcomers.fit(hindcasts(history))
    wild = Prediction(np.full(61, 9.0), np.full((61, 8), 9.0))
    mixed = found.mixed_into(wild, history)
    assert not mixed.mean[:60].any()
    assert not mixed.levels[:60].any()
    assert mixed.mean[60] == 9.0
    assert sale_rate(history.units) == pytest.approx(0.5 / (2 * 60 + 1))
    assert sale_rate(sleepers(30).units) == pytest.approx(30.5 / 121)


def test_dormant_products_that_often_wake_up_have_units_in_their_upper_quantiles() -> None:
    found = Newcomers.fit(hindcasts(sleepers(30)))
    assert found.dormant[3] == 0
    assert found.dormant[-1] == 1


def test_outcomes_follow_twelve_months_without_a_sale() -> None:
    rows = [[5.0] + [0.0] * 12 + [7.0], [0.0] * 14, [5.0] + [0.0] * 11 + [2.0, 3.0], [NAN, 4.0] + [0.0] * 12]
    units = np.array(rows)
    assert dormant_outcomes(units).tolist() == [7.0], "never sold, sold too late, and not yet a year"
    assert dormant_outcomes(units[:, :12]).size == 0


def test_too_few_first_months_and_dormant_ones_tell_nothing() -> None:
    few = Newcomers.fit(hindcasts(beginners(12)))
    assert (few.cuts.size, few.starts.size, few.dormant.size) == (0, 0, 0)
    assert Newcomers.fit(hindcasts(sleepers(0, asleep=20))).dormant.size == 0
    assert sale_rate(sleepers(0, asleep=20).units) is None


def test_the_state_has_all_of_it_and_an_older_one_has_defaults() -> None:
    found = Newcomers.fit(hindcasts(beginners()))
    state = found.state()
    again = Newcomers.from_state(state)
    for name in ("quantiles", "cuts", "starts", "dormant"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    older = Newcomers.from_state({name: state[name] for name in ("categories", "quantiles")})
    assert (older.cuts.size, older.starts.size, older.dormant.size) == (0, 0, 0)
