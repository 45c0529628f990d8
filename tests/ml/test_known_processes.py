"""Demand of which the true distribution is known: how much more a forecaster loses than one who knows it.

Knowing the form of the process but not its numbers costs 3 % on these panels (a negative binomial regression with a
level per product, a trend and a season per category, fitted to the 30 to 35 months before): nobody is below that.
"""

import numpy as np
import pytest

from ml import features
from ml.distribution import LEVELS
from ml.evaluation import Backtest, backtest
from ml.models.adjusted import AdjustedDiscountedMean
from ml.models.base import Model
from ml.models.blend import Blend
from ml.models.boosting import TweedieTrees
from ml.models.smoothing import Naive
from tests.ml.known_processes import Floats, KnownPanel, negative_binomials


def pinball(actual: Floats, quantiles: Floats, scale: Floats) -> float:
    """Written out here, so that nothing is shared with what is judged."""
    total = 0.0
    for i, level in enumerate(LEVELS):
        error = actual - quantiles[:, i]
        total += float(np.sum(2 * np.maximum(level * error, (level - 1) * error) / scale))
    return total


def judged(panel: KnownPanel, tested: Backtest, name: str) -> dict[str, float]:
    """Loss over the oracle's, the calibration gap of the worst level, and units too many as a share."""
    ours, oracle, forecast, sold, below, up_to = (
        0.0,
        0.0,
        0.0,
        0.0,
        np.zeros(len(LEVELS)),
        np.zeros(len(LEVELS)),
    )
    for k, t in enumerate(tested.origins):
        use, told = tested.eligible[:, k], tested.predictions[name][k]
        actual, scale = panel.history.units[use, t], features.scale(panel.history.until(t))[use]
        ours += pinball(actual, told.levels[use], scale)
        oracle += pinball(actual, panel.quantiles(t, LEVELS)[use], scale)
        forecast, sold = forecast + told.mean[use].sum(), sold + actual.sum()
        below += np.sum(actual[:, np.newaxis] < told.levels[use], axis=0)
        up_to += np.sum(actual[:, np.newaxis] <= told.levels[use], axis=0)
    count, levels = float(tested.eligible.sum()), np.array(LEVELS)
    gaps = np.maximum(np.maximum(below / count - levels, levels - up_to / count), 0.0)
    return {"loss": ours / oracle, "gap": float(gaps.max()), "bias": forecast / sold - 1.0}


def told(
    candidates: dict[str, type[Model]], products: int, months: int, origins: int
) -> dict[str, dict[str, float]]:
    panel = negative_binomials(products, months, seed=1)
    tested = backtest(panel.history, candidates, seed=0, test_origins=origins, calibration_origins=4)
    return {name: judged(panel, tested, name) for name in candidates}


def test_the_oracle_is_calibrated_and_its_mean_is_that_of_the_units() -> None:
    panel = negative_binomials(2000, 24, seed=3)
    actual, true = panel.history.units, panel.quantiles(20, LEVELS)
    assert np.nansum(actual) == pytest.approx(panel.mean[~np.isnan(actual)].sum(), rel=0.01)
    below = np.mean(actual[:, 20, np.newaxis] < true, axis=0)
    up_to = np.mean(actual[:, 20, np.newaxis] <= true, axis=0)
    assert np.all(below <= np.array(LEVELS) + 0.03)
    assert np.all(up_to >= np.array(LEVELS) - 0.03)


def test_trees_come_near_the_oracle_and_naive_does_not() -> None:
    """Five fits of trees on 300 products take some seconds; fewer products leave nothing to learn a season from."""
    found = told({"trees": TweedieTrees, "naive": Naive}, products=300, months=30, origins=2)
    assert 1.0 < found["trees"]["loss"] < 1.15
    assert found["trees"]["gap"] < 0.06
    assert abs(found["trees"]["bias"]) < 0.08
    assert found["naive"]["loss"] > 1.3


def test_a_mean_that_shares_season_trend_and_dispersion_comes_nearer() -> None:
    found = told({"shared": AdjustedDiscountedMean}, products=300, months=36, origins=2)["shared"]
    assert 1.0 < found["loss"] < 1.06
    assert found["gap"] < 0.04
    assert abs(found["bias"]) < 0.06


@pytest.mark.soak
def test_the_recipe_of_choice_comes_near_the_oracle() -> None:
    found = told({"blend": Blend}, products=1000, months=36, origins=6)["blend"]
    assert 1.0 < found["loss"] < 1.05
    assert found["gap"] < 0.01
    assert abs(found["bias"]) < 0.03
