"""Returned units: rates of products shrunk to their categories, with an interval that holds."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml.history import History
from ml.product_history import ProductHistory
from ml.return_rates import MOST_STRENGTH, ReturnRates
from ml.snapshot import Snapshot, snapshot_bytes
from tests.ml.models.series import series
from tests.ml.small_history import small_shop
from tests.ml.small_models import manifest, small_bundle
from tests.ml.test_snapshot import NOW

Array = np.ndarray[Any, Any]


def shop(
    products: int = 600, months: int = 24, *, seed: int = 1, strength: float = 20.0
) -> tuple[History, Array]:
    """Beta-binomial returns of two categories, at 3 and 12 % on average, and the true rate of each product."""
    rng = np.random.default_rng(seed)
    mean = np.where(np.arange(products) % 2 == 0, 0.03, 0.12)
    rate = rng.beta(mean * strength, (1 - mean) * strength)
    units = rng.poisson(rng.gamma(2, 5, products)[:, np.newaxis], (products, months)).astype(float)
    units[:, 0] = np.maximum(units[:, 0], 1)
    back = rng.binomial(units.astype(np.int64), rate[:, np.newaxis]).astype(float)
    history = series(*units)
    names = tuple("xy"[i % 2] for i in range(products))
    return replace(history, categories=names, extra={"returned_units": back}), rate


def flat(mean: Array) -> Array:
    """Quantiles of demand that is known."""
    return np.repeat(mean[:, np.newaxis], 8, axis=1)


def fitted(history: History) -> ReturnRates:
    found = ReturnRates.fit(history)
    assert found is not None
    return found


def test_rates_of_categories_and_the_spread_of_products_are_recovered() -> None:
    found = fitted(shop()[0])
    assert found.names == ("x", "y")
    np.testing.assert_allclose(found.rates, [0.03, 0.12, 0.075], rtol=0.15)
    assert 12 < found.strength < 33
    assert found.clumping <= 2


def test_a_shrunk_rate_is_nearer_to_the_truth_than_either_alone() -> None:
    history, rate = shop(months=3)
    ones = np.ones(history.n)
    found = fitted(history).expected(history, ones, flat(ones))["rate"]
    own = history.extra["returned_units"].sum(axis=1) / history.units.sum(axis=1)
    category = np.where(np.arange(history.n) % 2 == 0, 0.03, 0.12)

    def error(guess: Array) -> float:
        return float(np.mean((guess - rate) ** 2))

    assert error(found) < 0.9 * min(error(own), error(category))


def test_the_interval_holds_next_months_returns() -> None:
    history, _ = shop(seed=4, months=24)
    past = history.until(23)
    mean = history.units[:, :23].mean(axis=1)
    spread = np.sqrt(mean)[:, np.newaxis] * np.array([-1.64, -1.28, -0.67, 0, 0.67, 1.28, 1.64, 2.33])
    found = fitted(past).expected(past, mean, np.maximum(flat(mean) + spread, 0))
    back = history.extra["returned_units"][:, 23]
    assert found["mean"].sum() == pytest.approx(back.sum(), rel=0.1)
    assert np.mean(back <= found["p90"]) >= 0.88
    assert np.mean(back < found["p10"]) <= 0.12
    assert np.mean(back < found["p90"]) <= 0.93, "an interval that holds everything says nothing"


def test_products_alike_have_their_categorys_rate() -> None:
    history, _ = shop(strength=1e9)
    assert fitted(history).strength > 100
    none = replace(history, extra={"returned_units": np.zeros(history.units.shape)})
    found = fitted(none)
    assert found.strength == MOST_STRENGTH
    expected = found.expected(none, np.ones(none.n), flat(np.ones(none.n)))
    assert not expected["mean"].any()
    assert not expected["p90"].any()


def test_lumps_widen_the_interval() -> None:
    history, _ = shop(strength=1e9)
    rng = np.random.default_rng(0)
    lumps = np.where(rng.random(history.units.shape) < 0.1, history.units, 0.0)
    assert fitted(replace(history, extra={"returned_units": lumps})).clumping >= 4


def test_unknown_is_unknown() -> None:
    history, _ = shop(products=4)
    assert ReturnRates.fit(replace(history, extra={})) is None
    assert ReturnRates.fit(history.until(0)) is None
    found = fitted(history)
    stranger = replace(series([5.0, 6.0]), extra={})
    expected = found.expected(stranger, np.array([10.0]), flat(np.array([10.0])))
    assert expected["rate"].tolist() == [found.rates[-1]]
    assert expected["own_units"].tolist() == [0]


def test_more_back_than_sold_is_no_more_than_all() -> None:
    history = replace(series([1.0, 0.0]), extra={"returned_units": np.array([[0.0, 9.0]])})
    assert 0 <= fitted(history).expected(history, np.ones(1), flat(np.ones(1)))["rate"][0] <= 1


def test_json_and_back_has_the_same_bits() -> None:
    history, _ = shop(products=20)
    found = fitted(history)
    again = ReturnRates.from_json(json.loads(json.dumps(found.to_json())))
    ones = np.ones(20)
    for name, values in found.expected(history, ones, flat(ones)).items():
        np.testing.assert_array_equal(again.expected(history, ones, flat(ones))[name], values)


def test_an_answer_has_returns_beside_gross_demand_and_live_the_same_bits() -> None:
    plain = small_shop()
    back = np.floor(np.nan_to_num(plain.units) * 0.1)
    known = replace(plain, extra={**plain.extra, "returned_units": back})
    bundle = small_bundle(known)
    snapshot = Snapshot.from_bytes(
        snapshot_bytes(bundle, 3, manifest().data_version, known, NOW), bundle.sha256
    )
    for row in (0, 3, 7):
        answer = snapshot.live(bundle).answer(ProductHistory.of(known, row))
        assert answer == snapshot.get(known.product_ids[row])
        said = json.loads(answer)
        assert said["returns"]["mean"] == pytest.approx(said["mean"] * said["returns"]["rate"], abs=1e-3)
        assert said["returns"]["p10"] <= said["returns"]["p90"]


def test_a_shop_that_tells_nothing_of_returns_gets_the_answers_of_before() -> None:
    plain = small_shop()
    bundle = small_bundle(plain)
    snapshot = Snapshot.from_bytes(
        snapshot_bytes(bundle, 3, manifest().data_version, plain, NOW), bundle.sha256
    )
    assert "return_rates" not in snapshot.header
    assert all("returns" not in json.loads(answer) for answer in snapshot.answers.values())
