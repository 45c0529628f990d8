"""Models that see a plan: stored and read back they say the same, alone and in company, and without the plan too."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ml.features import category_totals
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.base import Servable
from ml.models.blend import MEMBERS, PLANNED_MEMBERS, Blend
from ml.models.boosting import QuantileTrees, TweedieTrees
from ml.models.empirical import Empirical
from ml.models.smoothing import Naive
from tests.ml.small_plan import planned_shop, without_plan

EVERY = pytest.mark.parametrize("model", [*PLANNED_MEMBERS, Blend], ids=lambda model: model.name)


@cache
def shop() -> History:
    return planned_shop(products=24, months=14)[0]


@cache
def hindcasts() -> Hindcasts:
    return Hindcasts(shop(), seed=3, first=12)


def fitted(model: type[Servable]) -> Servable:
    return model.from_state(hindcasts().model(model, shop().T).state())


def bits(model: Servable, history: History) -> bytes:
    found = model.predict(history, category_totals(shop()))
    return found.mean.tobytes() + (b"" if found.quantiles is None else found.quantiles.tobytes())


@EVERY
def test_a_stored_model_says_the_same_alone_and_in_company(model: type[Servable]) -> None:
    assert bits(fitted(model), shop()) == bits(hindcasts().model(model, shop().T), shop())
    together = fitted(model).predict(shop(), category_totals(shop())).mean
    for i in (0, 7, 23):
        alone = fitted(model).predict(shop().rows(np.array([i])), category_totals(shop())).mean
        assert alone.tobytes() == together[i : i + 1].tobytes()


@EVERY
def test_a_lower_planned_price_means_more_units_and_no_plan_still_an_answer(model: type[Servable]) -> None:
    price = shop().plan["price_cents"].copy()
    price[:, -1] *= 0.6
    cheap = replace(shop(), plan={**shop().plan, "price_cents": price})
    now, more, blind = (
        fitted(model).predict(history, category_totals(history)).mean
        for history in (shop(), cheap, without_plan(shop()))
    )
    if model is not Naive:
        assert more.mean() > 1.2 * now.mean()
    assert np.all(np.isfinite(blind))


def test_a_model_fitted_without_a_plan_does_not_look_at_one() -> None:
    blend = Blend.fit(without_plan(shop()), 3, Hindcasts(without_plan(shop()), 3, first=12))
    assert bits(blend, shop()) == bits(blend, without_plan(shop()))
    assert not any(key.startswith("response") for key in blend.state())


def test_every_member_has_its_place_with_a_plan() -> None:
    inner = [member.__dict__.get("inner", member) for member in PLANNED_MEMBERS]
    assert inner[-1] is MEMBERS[-1] is Naive
    assert {QuantileTrees, Empirical, TweedieTrees} < set(inner)
    assert [each for each in MEMBERS if each in inner] == [each for each in inner if each in MEMBERS]


def test_a_month_that_is_silent_for_want_of_a_plan_is_forecast_as_such_months_were() -> None:
    units, absent = shop().units.copy(), np.zeros((shop().n, shop().T + 1), dtype=bool)
    absent[:, 5] = absent[::2, 9] = absent[:3, -1] = True
    units[absent[:, :-1]] = 0.0
    plan = {
        name: values if name == "shop_price" else np.where(absent, np.nan, values)
        for name, values in shop().plan.items()
    }
    gaps = replace(shop(), units=units, plan=plan)
    found = Blend.fit(gaps, 3, Hindcasts(gaps, 3, first=12)).predict(gaps, category_totals(gaps))
    assert not found.levels[:3].any()
    assert np.all(found.levels[3:, 3] > 0)
