"""Answers: each number by its definition, recomputed another way."""

import json
import math
from typing import Any

import numpy as np
import pytest

from ml.distribution import LEVELS, pmf
from ml.features import category_totals
from ml.forecasting import (
    MOST_MASS_UNITS,
    Forecaster,
    category_forecasts,
    confidence,
    distribution_fields,
    encoded,
    last_prices,
    probability_of_increase,
    volatility,
)
from tests.ml.small_history import small_shop
from tests.ml.small_models import manifest, small_bundle

SHOP = small_shop()
BUNDLE = small_bundle(SHOP)
ROW = np.array([0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 18.0, 26.0])
KEYS = [
    *("product_id", "category", "month", "mean", "p10", "p50", "p90", "quantiles", "probability_mass"),
    *("demand_delta", "probability_of_increase", "volatility", "confidence", "historical_error"),
    *("demand_class", "history_months", "last_month_units", "model_version", "model_sha256", "data_version"),
    *("calibration_id", "risk_cuts", "price_cents"),
]


def answers() -> list[dict[str, Any]]:
    forecaster = Forecaster(BUNDLE, 3, manifest().data_version, category_totals(SHOP))
    return [json.loads(answer) for answer in forecaster.answers(SHOP)]


def test_every_answer_has_the_same_keys_in_the_same_order() -> None:
    for answer in answers():
        assert list(answer) == KEYS
        assert list(answer["quantiles"]) == [f"{level:.2f}" for level in LEVELS]


def test_an_answer_names_its_model_data_and_calibration() -> None:
    for answer in answers():
        assert answer["model_version"] == 3
        assert answer["model_sha256"] == BUNDLE.sha256
        assert answer["data_version"] == manifest().data_version
        assert answer["calibration_id"] == manifest().calibration_id
        assert answer["month"] == "2026-01"


def test_shares_are_shares_and_quantiles_are_in_order() -> None:
    for answer in answers():
        for name in ("confidence", "volatility", "probability_of_increase"):
            assert 0 <= answer[name] <= 1
        assert answer["p10"] <= answer["p50"] <= answer["p90"]
        units = list(answer["quantiles"].values())
        assert units == sorted(units)
        assert answer["demand_delta"]["units"] == pytest.approx(
            answer["mean"] - answer["last_month_units"], abs=1e-3
        )


def test_a_mass_sums_to_one_and_is_left_out_where_it_would_be_long() -> None:
    found = answers()
    masses = [answer["probability_mass"] for answer in found if answer["probability_mass"] is not None]
    assert 0 < len(masses) < len(found)
    for mass in masses:
        assert sum(mass) == pytest.approx(1, abs=1e-4)
        assert len(mass) <= MOST_MASS_UNITS + 1


def test_confidence_and_increase_agree_with_the_mass() -> None:
    mass, mean = pmf(ROW), 7.0
    near = [p for k, p in enumerate(mass) if abs(k - mean) <= max(1, 0.25 * mean)]
    assert confidence(mean, ROW.tolist()) == pytest.approx(sum(near), abs=1e-5)
    assert probability_of_increase(ROW.tolist(), 6.0) == pytest.approx(mass[7:].sum(), abs=1e-5)
    assert probability_of_increase(ROW.tolist(), 0.0) == pytest.approx(1 - mass[0], abs=1e-5)


def test_confidence_in_a_rare_product_counts_the_units_next_to_it() -> None:
    rare = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0])
    assert confidence(0.2, rare.tolist()) == pytest.approx(pmf(rare)[:2].sum(), abs=1e-5)


def test_volatility_of_a_normal_forecast_is_its_coefficient_of_variation() -> None:
    normal = 100 + 20 * np.array([-1.6449, -1.2816, -0.6745, 0, 0.6745, 1.2816, 1.6449, 2.3263])
    assert volatility(100.0, normal.tolist()) == pytest.approx(0.2 / 1.2, abs=1e-3)
    assert volatility(1000.0, (10 * normal).tolist()) == pytest.approx(volatility(100.0, normal.tolist()))
    assert volatility(0.0, [0.0] * 8) == 0.0


def test_the_change_is_a_share_of_at_least_one_unit() -> None:
    assert distribution_fields(7.0, ROW, 4.0)["demand_delta"] == {"units": 3.0, "share": 0.75}
    assert distribution_fields(0.5, ROW, 0.0)["demand_delta"] == {"units": 0.5, "share": 0.5}


def test_categories_are_the_sum_of_their_products() -> None:
    found = answers()
    sums = category_forecasts([encoded(answer) for answer in found])
    for name, category in sums.items():
        means = [answer["mean"] for answer in found if answer["category"] == name]
        assert category == {"mean": pytest.approx(math.fsum(means), abs=1e-4), "products": len(means)}
    assert sum(category["products"] for category in sums.values()) == SHOP.n


def test_the_price_is_the_newest_known_one() -> None:
    prices = last_prices(SHOP)
    for row, price in zip(SHOP.price_cents.tolist(), prices, strict=True):
        known = [p for p in row if not math.isnan(p)]
        assert price == (round(known[-1]) if known else None)
    unknown = small_shop(products=1)
    unknown.price_cents[:] = np.nan
    assert last_prices(unknown) == [None]


def test_not_a_number_never_leaves() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encoded({"mean": math.nan})


def test_a_product_of_a_billion_units_needs_no_list_of_them() -> None:
    """The mass of so many units would take the memory of the whole machine; the answer is without it."""
    said = distribution_fields(1e12, np.linspace(1e11, 4e12, 8), 5.0)
    assert said["probability_mass"] is None
    assert said["p90"] > said["p10"] > 0


@pytest.mark.parametrize("most", [40.0, 98.0, 99.0, 100.0, 101.0, 300.0])
def test_the_mass_is_there_as_long_as_it_has_at_most_a_hundred_units(most: float) -> None:
    row = np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, most, most])
    mass = pmf(row)
    said = distribution_fields(2.0, row, 1.0)["probability_mass"]
    assert (said is not None) == (len(mass) <= MOST_MASS_UNITS + 1)
