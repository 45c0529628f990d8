"""Calibrated quantiles hold what they promise on products that were not calibrated on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.calibration import Calibration, spread
from ml.demand_class import CLASSES, demand_class
from ml.distribution import LEVELS, P10, P90, Prediction
from ml.features import window
from ml.hindcasts import Hindcast
from ml.metrics import calibration_gap, coverage
from ml.models.base import Uncertainty
from tests.ml.small_history import small_shop

Floats = NDArray[np.float64]


def hindcasts(seed: int, uncertainty: Uncertainty, products: int = 600, months: int = 4) -> list[Hindcast]:
    """Forecasts that know the mean: points, or quantiles that are all 30 % too low."""
    shop = small_shop(products, 24, seed)
    rng, made = np.random.default_rng(seed), []
    for t in range(24 - months, 24):
        past = shop.until(t)
        mean = np.nan_to_num(window(past.units, 12).mean)
        actual = np.where(np.isnan(shop.units[:, t]), np.nan, rng.poisson(rng.gamma(3, mean / 3 + 1e-9)))
        wrong = 0.7 * np.repeat(mean[:, np.newaxis], 8, axis=1) * np.linspace(0.7, 1.3, 8)
        made.append(Hindcast(past, Prediction(mean, wrong if uncertainty == "quantiles" else None), actual))
    return made


def flat(past: Sequence[Hindcast], calibration: Calibration | None) -> tuple[Floats, Floats]:
    """Outcomes and quantiles of settled products."""
    actual, levels = [], []
    for hindcast in past:
        prediction = hindcast.prediction
        if calibration is not None:
            prediction = calibration.apply(hindcast.history, prediction)
        use = (demand_class(hindcast.history) < CLASSES.index("new")) & ~np.isnan(hindcast.actual)
        actual.append(hindcast.actual[use])
        levels.append(prediction.levels[use])
    return np.concatenate(actual), np.concatenate(levels)


@pytest.mark.parametrize("uncertainty", ["residuals", "counts", "product_counts", "quantiles"])
def test_quantiles_hold_on_other_products_in_every_way_to_get_them(uncertainty: Uncertainty) -> None:
    calibration = Calibration.fit(uncertainty, hindcasts(1, uncertainty))
    actual, levels = flat(hindcasts(2, uncertainty), calibration)
    assert calibration_gap(actual, levels, LEVELS) < 0.025
    assert 0.78 < coverage(actual, levels[:, P10], levels[:, P90]) < 0.93  # counts: above 80 % is right


def test_without_calibration_the_same_quantiles_do_not_hold() -> None:
    actual, levels = flat(hindcasts(2, "quantiles"), None)
    assert calibration_gap(actual, levels, LEVELS) > 0.2


def test_a_shift_learned_on_the_same_months_is_what_moves_quantiles() -> None:
    none = Calibration.fit("quantiles", [])
    actual, levels = flat(hindcasts(2, "quantiles"), none)
    _, untouched = flat(hindcasts(2, "quantiles"), None)
    np.testing.assert_allclose(levels, untouched)
    assert calibration_gap(actual, levels, LEVELS) > 0.2


def test_without_any_past_residuals_are_normal_in_spreads() -> None:
    shop = small_shop(products=4)
    mean = np.full(4, 50.0)
    found = Calibration.fit("residuals", []).apply(shop, Prediction(mean, None))
    settled = demand_class(shop) < CLASSES.index("new")
    expected = np.maximum(50 + 1.2815515655446004 * spread(shop, mean), 0)
    np.testing.assert_allclose(found.levels[settled, P90], expected[settled])


def test_the_spread_is_worked_from_a_product() -> None:
    shop = small_shop(products=1)
    steady = replace(shop, units=np.full((1, 24), 6.0))
    assert spread(steady, np.array([9.0])).tolist() == pytest.approx([0.7 * 3 + 0.15 * 9 + 0.05])


def test_the_mean_of_a_point_forecast_stays_and_that_of_quantiles_follows_them() -> None:
    for uncertainty in ("residuals", "counts", "product_counts"):
        past = hindcasts(1, uncertainty, products=80)
        applied = Calibration.fit(uncertainty, past).apply(past[0].history, past[0].prediction)
        settled = window(past[0].history.units, 24).months >= 3
        np.testing.assert_array_equal(applied.mean[settled], past[0].prediction.mean[settled])
    past = hindcasts(1, "quantiles", products=80)
    applied = Calibration.fit("quantiles", past).apply(past[0].history, past[0].prediction)
    assert float(np.mean(applied.mean)) > 1.1 * float(np.mean(past[0].prediction.levels[:, 3]))


def test_a_model_that_calibrates_itself_is_left_alone() -> None:
    past = hindcasts(1, "quantiles", products=20)
    assert Calibration.fit("own", []).apply(past[0].history, past[0].prediction) is past[0].prediction


@pytest.mark.parametrize("uncertainty", ["residuals", "counts", "product_counts", "quantiles"])
def test_its_state_brings_the_same_bits_back(uncertainty: Uncertainty) -> None:
    past = hindcasts(1, uncertainty, products=80)
    calibration = Calibration.fit(uncertainty, past)
    again = Calibration.from_state(calibration.state())
    before, after = (c.apply(past[0].history, past[0].prediction) for c in (calibration, again))
    assert before.levels.tobytes() == after.levels.tobytes()
    assert before.mean.tobytes() == after.mean.tobytes()


def test_a_state_of_another_kind_is_refused() -> None:
    state = Calibration.fit("own", []).state() | {"uncertainty": "magic"}
    with pytest.raises(ValueError, match="unknown uncertainty 'magic'"):
        Calibration.from_state(state)


def shifted_months(offsets: Sequence[float]) -> list[Hindcast]:
    """Perfect quantiles of every product, but each month sells `offsets` more than they say."""
    made, shop = [], small_shop(200, 24, 3)
    for t, offset in zip(range(24 - len(offsets), 24), offsets, strict=True):
        past, rng = shop.until(t), np.random.default_rng(t)
        levels = np.tile(np.quantile(np.arange(80.0, 121.0), LEVELS), (shop.n, 1))
        actual = np.where(np.isnan(shop.units[:, t]), np.nan, rng.integers(80, 121, shop.n) + offset)
        made.append(Hindcast(past, Prediction(levels.mean(axis=1), levels), actual))
    return made


def test_a_shift_that_months_agree_on_is_made_and_one_that_they_do_not_agree_on_is_not() -> None:
    def median_shift(offsets: Sequence[float]) -> float:
        return float(np.mean(np.abs(Calibration.fit("quantiles", shifted_months(offsets)).shifts[:, 3])))

    alike, apart, one = median_shift([30] * 4), median_shift([120, -60, 90, -30]), median_shift([30])
    assert apart < 0.6 * alike, "both are 30 on average"
    assert alike == pytest.approx(one, rel=0.25)
