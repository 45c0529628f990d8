"""Histogram boosting: arrays that predict the bits of scikit-learn, and serve without it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from ml.errors import NotEnoughHistory
from ml.features import category_totals
from ml.models.histogram import ROWS_AT_ONCE, Forest, HistogramTrees
from ml.models.histogram_growth import forest_of
from tests.ml.small_history import small_shop
from tests.ml.small_plan import planned_shop

Floats = NDArray[np.float64]


def made_up(rows: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Features of which some are unknown, some whole and one nearly always unknown, and what they stand for."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 6))
    features[:, 3] = np.round(features[:, 3])
    features[random.random(features.shape) < [0.0, 0.2, 0.5, 0.1, 0.99, 0.3]] = np.nan
    strength = np.exp(np.nan_to_num(features[:, 0])) * np.where(np.isnan(features[:, 1]), 3.0, 1.0)
    return features, random.poisson(strength).astype(np.float64)


def fitted(loss: str, **settings: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(loss=loss, max_iter=30, random_state=1, **settings).fit(
        *made_up(1500)
    )


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        ("poisson", {}),
        ("squared_error", {"max_leaf_nodes": 3}),
        ("quantile", {"quantile": 0.9}),
        ("poisson", {"max_depth": 1}),
    ],
)
def test_predictions_have_the_bits_of_the_library(loss: str, settings: dict[str, Any]) -> None:
    library = fitted(loss, **settings)
    rows, _ = made_up(ROWS_AT_ONCE + 300, seed=2)
    rows[0] = np.nan
    rows[1], rows[2] = np.inf, -np.inf
    raw = library._raw_predict(rows).ravel()
    assert forest_of(library)(rows).tobytes() == raw.tobytes()
    if loss == "poisson":
        assert np.exp(raw).tobytes() == library.predict(rows).tobytes()


def test_unknown_values_matter() -> None:
    """The control of the test above: rows differ in nothing but what is unknown."""
    rows, _ = made_up(50, seed=3)
    forest = forest_of(fitted("poisson"))
    assert np.any(forest(rows) != forest(np.nan_to_num(rows)))


def test_a_row_on_a_threshold_goes_left_as_in_the_library() -> None:
    library = fitted("poisson")
    forest = forest_of(library)
    inner = np.flatnonzero(forest.children[:, 0] != forest.children[:, 1])
    inner = inner[np.isfinite(forest.threshold[inner])]
    rows = np.zeros((len(inner), 6))
    rows[np.arange(len(inner)), forest.feature[inner]] = forest.threshold[inner]
    assert forest(rows).tobytes() == library._raw_predict(rows).ravel().tobytes()


def test_trees_without_a_split_and_no_rows_are_answered() -> None:
    features, _ = made_up(100)
    flat = forest_of(HistGradientBoostingRegressor(max_iter=2).fit(features, np.full(100, 7.0)))
    np.testing.assert_allclose(flat(features), 7.0)
    assert flat(np.empty((0, 6))).shape == (0,)


def test_the_same_data_and_seed_give_the_same_arrays() -> None:
    shop = small_shop(products=30, months=18)
    first, second = (HistogramTrees.fit(shop, seed=4).state() for _ in range(2))
    assert {k: np.asarray(v).tobytes() for k, v in first.items()} == {
        k: np.asarray(v).tobytes() for k, v in second.items()
    }


def test_a_history_with_a_plan_is_learned_from_without_it() -> None:
    history = planned_shop(products=26, months=14)[0]
    model = HistogramTrees.fit(history, 5)
    assert np.all(np.isfinite(model.predict(history, category_totals(history)).mean))


def test_one_month_is_not_enough_to_learn_from() -> None:
    with pytest.raises(NotEnoughHistory, match="1 months of history hold no month to learn from"):
        HistogramTrees.fit(small_shop(products=5, months=6).until(1), seed=0)


SERVED = """
import sys
sys.modules["sklearn"] = None  # importing it would fail
import numpy as np
from ml.features import category_totals
from ml.models.histogram import HistogramTrees
from tests.ml.small_history import small_shop
from tests.ml.small_plan import planned_shop
shop = small_shop(products=9, months=12)
model = HistogramTrees.from_state(dict(np.load(sys.argv[1])))
sys.stdout.write(model.predict(shop, category_totals(shop)).mean.tobytes().hex())
"""


def test_a_stored_forest_is_served_where_scikit_learn_is_not(tmp_path: Path) -> None:
    shop = small_shop(products=9, months=12)
    model = HistogramTrees.fit(shop, seed=0)
    arrays: dict[str, Any] = dict(model.state())
    np.savez(tmp_path / "state.npz", **arrays)
    told = subprocess.run(
        [sys.executable, "-c", SERVED, tmp_path / "state.npz"], capture_output=True, text=True, check=True
    )
    assert bytes.fromhex(told.stdout) == model.predict(shop, category_totals(shop)).mean.tobytes()
    assert isinstance(model.forest, Forest)
