"""Theta from a fitted start against a library's numbers and a search by hand."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from ml.models import fitted_theta
from ml.models.fitted_theta import WEIGHTS, FittedTheta, smooth_from_best_start
from tests.ml.models.series import seasonal_series, series

NAN = float("nan")
WAVY = [round(100 + 0.8 * t + 12 * math.sin(1.7 * t) + 7 * math.cos(0.9 * t * t), 2) for t in range(60)]
# statsforecast 2.1.1: forecast_theta(auto_theta(WAVY, 1, model="STM", alpha=..., initial_smoothed=100.0), 6)
LIBRARY = {
    0.3: (143.00985013, 143.40597503, 143.80209992, 144.19822482, 144.59434971, 144.99047461),
    0.5: (141.84888606, 142.24501096, 142.64113585, 143.03726075, 143.43338564, 143.82951054),
}


@pytest.mark.parametrize("weight", LIBRARY)
def test_the_months_ahead_are_those_of_a_library(weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted_theta, "WEIGHTS", (weight,))
    np.testing.assert_allclose(FittedTheta().ahead(series(WAVY), 6)[0], LIBRARY[weight], rtol=0, atol=1e-6)


def squares(start: float, weight: float, values: list[float]) -> float:
    level, total = start, 0.0
    for value in values:
        total += (value - level) ** 2
        level += weight * (value - level)
    return total


@pytest.mark.parametrize("seed", range(5))
def test_start_and_weight_have_the_least_squared_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = list(rng.gamma(2.0, 10.0, 15))
    starts = {w: float(minimize_scalar(lambda s, w=w: squares(s, w, values)).x) for w in WEIGHTS}
    best = min(WEIGHTS, key=lambda w: squares(starts[w], w, values))
    level = starts[best]
    for value in values:
        level += best * (value - level)
    found = smooth_from_best_start(np.array([[NAN, NAN, *values]]))
    assert found[1][0] == best
    assert found[0][0] == pytest.approx(level, abs=1e-6)


def test_a_season_goes_on() -> None:
    years = seasonal_series(4)
    ahead = FittedTheta().ahead(series(years), 18)[0]
    np.testing.assert_allclose(ahead, [*years[:12], *years[:6]], rtol=1e-9)


def test_a_first_month_by_chance_is_forgotten() -> None:
    """Fifty, then ten for ever: a start at the first month would still be felt with a small weight."""
    assert FittedTheta().ahead(series([50.0, *[10.0] * 30]), 1)[0] == pytest.approx(10.0, abs=1.5)


def test_nothing_known_is_nothing_forecast() -> None:
    assert np.isnan(FittedTheta().ahead(series([NAN, NAN, NAN]), 2)).all()
