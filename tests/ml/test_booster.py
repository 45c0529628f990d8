"""The C interface predicts what LightGBM's Python package does, to the bit."""

import subprocess
import sys

import lightgbm
import numpy as np
import pytest

from ml.booster import Booster

COLUMNS = 6
RNG = np.random.default_rng(11)
FEATURES = RNG.normal(size=(900, COLUMNS))
UNITS = RNG.poisson(np.exp(FEATURES[:, 0] + 0.5 * FEATURES[:, 1] ** 2)).astype(float)


@pytest.fixture(scope="module", params=["regression", "tweedie", "quantile"])
def fitted(request: pytest.FixtureRequest) -> lightgbm.Booster:
    parameters = {"objective": request.param, "verbose": -1, "num_threads": 1, "seed": 3}
    return lightgbm.train(parameters, lightgbm.Dataset(FEATURES, UNITS), 40)


@pytest.mark.parametrize("rows", [1, 2, 900])
def test_predictions_are_those_of_the_python_package(fitted: lightgbm.Booster, rows: int) -> None:
    asked = FEATURES[:rows].copy()
    asked[0, 0] = np.nan
    ours = Booster(fitted.model_to_string()).predict(asked)
    assert ours.tobytes() == np.asarray(fitted.predict(asked, num_threads=1)).tobytes()


def test_the_layout_of_the_rows_changes_nothing(fitted: lightgbm.Booster) -> None:
    booster = Booster(fitted.model_to_string())
    alone = np.array([booster.predict(row[None])[0] for row in FEATURES[:50]])
    assert booster.predict(np.asfortranarray(FEATURES[:50])).tobytes() == alone.tobytes()


@pytest.mark.parametrize("columns", [COLUMNS - 1, COLUMNS + 1])
def test_rows_with_other_columns_are_refused(fitted: lightgbm.Booster, columns: int) -> None:
    with pytest.raises(ValueError, match="6 columns"):
        Booster(fitted.model_to_string()).predict(np.zeros((2, columns)))


def test_a_text_that_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="LGBM_BoosterLoadModelFromString"):
        Booster("not a model")


def test_models_that_are_dropped_are_freed() -> None:
    """Sixty models of 2 MB each would show in the resident memory."""
    code = (
        "import resource, sys; from ml.booster import Booster; text = sys.stdin.read()\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for _ in range(5): Booster(text)\n"
        "before = peak()\n"
        "for _ in range(60): Booster(text)\n"
        "print(peak() - before)"
    )
    parameters = {"objective": "regression", "num_leaves": 120, "min_data_in_leaf": 2, "verbose": -1}
    model = lightgbm.train(parameters, lightgbm.Dataset(FEATURES, UNITS), 100)
    text = model.model_to_string()
    assert len(text) > 500_000
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 8 * 1024
