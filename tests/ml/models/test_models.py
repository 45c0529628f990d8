"""What every candidate promises: bits that depend on neither company, storage nor future; sane numbers."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.calibration import Calibration
from ml.distribution import Prediction
from ml.features import category_totals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models import CANDIDATES
from ml.models.base import Servable
from ml.models.reference import BENCHMARK
from tests.ml.small_history import small_shop

EVERY = pytest.mark.parametrize("name", list(CANDIDATES))
SEED = 5


@cache
def shop() -> History:
    return small_shop(products=26, months=20)


@cache
def hindcasts() -> Hindcasts:
    return Hindcasts(shop(), SEED, first=16)


def fitted(name: str) -> Servable:
    """After a round trip through its state, as it is served."""
    model = hindcasts().model(CANDIDATES[name], shop().T)
    return CANDIDATES[name].from_state(model.state())


def calibrated(name: str, cached: Hindcasts, t: int) -> Prediction:
    """The whole procedure at origin `t`: fit, calibrate on what came before, forecast."""
    calibration = Calibration.fit(CANDIDATES[name].uncertainty, cached.before(CANDIDATES[name], t))
    return calibration.apply(cached.history.until(t), cached.prediction(CANDIDATES[name], t))


def bits(prediction: Prediction) -> bytes:
    return prediction.mean.tobytes() + (
        b"" if prediction.quantiles is None else prediction.quantiles.tobytes()
    )


def test_there_are_five_families_and_three_baselines() -> None:
    assert len({model.family for model in CANDIDATES.values()} - {"baseline"}) >= 5
    assert {"naive", "seasonal_naive", "ma3"} <= set(CANDIDATES)


def test_a_candidate_is_listed_under_its_own_name() -> None:
    assert {name: model.name for name, model in BENCHMARK.items()} == {name: name for name in BENCHMARK}


def test_only_what_can_be_served_is_promotable() -> None:
    assert set(CANDIDATES) == {name for name, model in BENCHMARK.items() if model.promotable}


@EVERY
def test_a_stored_model_predicts_the_same_bits(name: str) -> None:
    before = hindcasts().model(CANDIDATES[name], shop().T)
    totals = category_totals(shop())
    assert bits(fitted(name).predict(shop(), totals)) == bits(before.predict(shop(), totals))


@EVERY
def test_state_is_arrays_and_text_only(name: str) -> None:
    for key, value in fitted(name).state().items():
        assert isinstance(value, str) or value.dtype.kind in "fiU", key


@EVERY
def test_a_product_has_the_same_bits_alone_and_in_company(name: str) -> None:
    model, totals = fitted(name), category_totals(shop())
    calibration = Calibration.fit(model.uncertainty, hindcasts().before(CANDIDATES[name], shop().T))
    together = calibration.apply(shop(), model.predict(shop(), totals))
    for i in range(shop().n):
        one = shop().rows(np.array([i]))
        alone = calibration.apply(one, model.predict(one, totals))
        assert alone.mean.tobytes() == together.mean[i : i + 1].tobytes()
        assert alone.levels.tobytes() == together.levels[i : i + 1].tobytes()


def changed_from(month: int) -> History:
    rng = np.random.default_rng(1)

    def other(values: NDArray[np.float64]) -> NDArray[np.float64]:
        later = np.arange(values.shape[1]) >= month
        return np.where(later & ~np.isnan(values), rng.integers(0, 900, values.shape), values)

    extra = {name: other(values) for name, values in shop().extra.items()}
    return replace(shop(), units=other(shop().units), price_cents=other(shop().price_cents), extra=extra)


@cache
def hindcasts_of_other_future() -> Hindcasts:
    return Hindcasts(changed_from(18), SEED, first=16)


@EVERY
def test_forecasts_of_an_origin_know_nothing_from_it_on(name: str) -> None:
    ours, theirs = (calibrated(name, h, 18) for h in (hindcasts(), hindcasts_of_other_future()))
    assert bits(ours) == bits(theirs)


@EVERY
def test_the_month_before_the_origin_does_change_forecasts(name: str) -> None:
    ours, theirs = (calibrated(name, h, 19) for h in (hindcasts(), hindcasts_of_other_future()))
    assert bits(ours) != bits(theirs)


@EVERY
def test_a_product_that_never_sold_and_one_of_a_month_get_finite_forecasts(name: str) -> None:
    units = shop().units.copy()
    units[0], units[1, :-1], units[1, -1] = np.nan, np.nan, 9.0
    odd = replace(shop(), units=units)
    found = fitted(name).predict(odd, category_totals(odd))
    calibration = Calibration.fit(CANDIDATES[name].uncertainty, hindcasts().before(CANDIDATES[name], 20))
    prediction = calibration.apply(odd, found)
    assert np.all(np.isfinite(prediction.mean))
    assert np.all(prediction.mean >= 0)
    assert np.all(np.isfinite(prediction.levels))
    assert np.all(prediction.levels >= 0)
    assert np.all(np.diff(prediction.levels, axis=1) >= 0)


@EVERY
def test_no_products_have_no_forecasts(name: str) -> None:
    nobody = shop().rows(np.array([], dtype=int))
    assert fitted(name).predict(nobody, category_totals(shop())).mean.shape == (0,)


def test_twice_as_many_units_are_forecast_as_twice_as_many() -> None:
    """Point forecasts from a product's own history have no unit of their own."""
    double = replace(shop(), units=2 * shop().units)
    for name in ("naive", "seasonal_naive", "ma3", "ses", "theta", "tsb"):
        model = CANDIDATES[name].fit(shop(), SEED)
        once, twice = (model.predict(h, category_totals(h)).mean for h in (shop(), double))
        np.testing.assert_allclose(twice, 2 * once, err_msg=name)
