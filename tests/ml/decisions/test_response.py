"""Response curves: recovered from their own data, refused from data that say nothing."""

import numpy as np
import pytest

from ml.decisions.response import Response, adstock, fit, prior
from ml.errors import ImpossibleEconomics


def hill(spend: float, base: float, beta: float, half: float, shape: float) -> float:
    effect: float = spend**shape / (half**shape + spend**shape)
    return base + beta * effect


def response(base: float, beta: float, half: float, shape: float, reference: float) -> Response:
    organic = base / hill(reference, base, beta, half, shape)
    return Response(*(np.array(v) for v in (reference, organic, shape, (reference / half) ** shape)))


@pytest.mark.parametrize("spend", [10.0, 500.0, 1_000.0, 9_000.0])
def test_it_is_the_hill_curve_on_a_base(spend: float) -> None:
    numbers = (40.0, 60.0, 800.0, 0.7)
    curve = response(*numbers, 1_000.0)
    assert float(curve.lift(np.array(spend))) == pytest.approx(hill(spend, *numbers) / hill(1_000, *numbers))
    rise = (hill(spend + 0.01, *numbers) - hill(spend - 0.01, *numbers)) / 0.02 / hill(1_000, *numbers)
    assert float(curve.slope(np.array(spend))) == pytest.approx(rise, rel=1e-5)


def test_without_base_and_saturation_it_is_constant_elasticity() -> None:
    curve = Response.constant_elasticity(np.array(200.0), np.array(0.3))
    assert float(curve.lift(np.array(400.0))) == pytest.approx(2**0.3)
    assert float(curve.elasticity) == pytest.approx(0.3)


def test_a_constant_spend_has_itself_as_adstock_and_a_burst_fades() -> None:
    assert adstock(np.full(5, 7.0), 0.6).tolist() == pytest.approx([7.0] * 5)
    assert adstock(np.array([0.0, 100.0, 0.0, 0.0]), 0.5).tolist() == [0.0, 50.0, 25.0, 12.5]


@pytest.mark.parametrize("carryover", [0.0, 0.6])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_known_curve_is_recovered(carryover: float, noise: float) -> None:
    """Elasticity at the mean spend within a fifth of it; without noise almost exactly."""
    random = np.random.default_rng(4)
    spend = random.uniform(200, 3_000, 48)
    mean = float(spend.mean())
    truth = response(40, 80, 2 * mean, 0.7, mean)
    works = adstock(spend, carryover)
    units = np.array([hill(x, 40, 80, 2 * mean, 0.7) for x in works]) + noise * random.standard_normal(48)
    found = fit(spend.tolist(), units.tolist())
    assert found is not None
    assert found.source == "fitted"
    tolerance = 0.2 if noise else 1e-6
    assert float(found.middle.elasticity) == pytest.approx(float(truth.elasticity), rel=tolerance)
    assert float(found.low.elasticity) <= float(found.middle.elasticity) <= float(found.high.elasticity)


def test_noise_widens_the_range() -> None:
    random = np.random.default_rng(9)
    spend = random.uniform(200, 3_000, 36)
    clean = np.array([hill(x, 40, 80, 1_500, 0.7) for x in spend])
    width = []
    for noise in (0.5, 8.0):
        found = fit(spend.tolist(), np.maximum(clean + noise * random.standard_normal(36), 0).tolist())
        assert found is not None
        width.append(float(found.high.elasticity - found.low.elasticity))
    assert width[0] < width[1]


def test_advertising_that_does_nothing_has_no_response() -> None:
    random = np.random.default_rng(2)
    spend = random.uniform(200, 3_000, 48)
    found = fit(spend.tolist(), (100 - 0.01 * spend).tolist())
    assert found is not None
    assert float(found.high.elasticity) == 0.0


@pytest.mark.parametrize(
    ("spend", "units"),
    [
        ([100.0, 200.0] * 5, [5.0, 6.0] * 5),
        ([100.0] * 24, [5.0, 6.0] * 12),
        ([100.0, 101.0] * 12, [5.0, 6.0] * 12),
        ([0.0] * 24, [5.0, 6.0] * 12),
        ([100.0, 200.0] * 12, [5.0] * 24),
    ],
)
def test_months_that_say_nothing_fit_nothing(spend: list[float], units: list[float]) -> None:
    assert fit(spend, units) is None


def test_a_history_that_does_not_match_is_refused() -> None:
    with pytest.raises(ImpossibleEconomics, match="2 spends and 1 months"):
        fit([1.0, 2.0], [1.0])
    with pytest.raises(ImpossibleEconomics, match="0 or more"):
        fit([1.0, -2.0], [1.0, 1.0])


def test_a_curve_that_is_not_concave_is_refused() -> None:
    with pytest.raises(ValueError, match="shape from 0 to 1"):
        Response(*(np.array(value) for value in (100.0, 0.0, 1.5, 1.0)))


def test_a_prior_states_its_error() -> None:
    stated = prior(100, 0.1, 0.1, "prior")
    found = [float(curve.elasticity) for curve in (stated.low, stated.middle, stated.high)]
    assert found == pytest.approx([0.0, 0.1, 0.2])
