"""Grows histogram gradient boosting with scikit-learn, and takes it out as arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ml.features import FEATURES
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models.boosting import LARGEST_TARGET, TRAINING_ROWS, learned
from ml.models.histogram import Forest

Floats = NDArray[np.float64]

SETTINGS: Final = {
    "max_iter": 100,
    "learning_rate": 0.08,
    "max_leaf_nodes": 20,
    "min_samples_leaf": 60,
    "l2_regularization": 1.0,
    "max_bins": 63,
    "early_stopping": False,
}


def mean_of_units(history: History, seed: int, hindcasts: Hindcasts | None) -> Forest:
    """The logarithm of expected units over the product's level; the plan, where there is one, is not looked at.

    Raises:
        NotEnoughHistory: No product has a month to learn from after its first.
    """
    rows = learned(Hindcasts.of(history, seed, hindcasts), history.T, TRAINING_ROWS)
    target = np.minimum(rows.units / rows.level, LARGEST_TARGET)
    return grow(
        rows.features[:, : len(FEATURES)],
        target,
        np.sqrt(rows.level),
        loss="poisson",
        random_state=seed,
        **SETTINGS,
    )


def grow(rows: Floats, target: Floats, weight: Floats | None, **settings: Any) -> Forest:
    """A forest with the settings of scikit-learn's regressor, on one thread."""
    known = np.where(np.isnan(rows).all(axis=0), 0.0, rows)  # a column without any value is an error there
    with threadpool_limits(1):
        return forest_of(HistGradientBoostingRegressor(**settings).fit(known, target, sample_weight=weight))


def forest_of(regressor: HistGradientBoostingRegressor) -> Forest:
    """The arrays of a fitted regressor without categorical features; its raw predictions have the same bits."""
    trees = [predictor.nodes for (predictor,) in regressor._predictors]  # noqa: SLF001 - there is no public way
    sizes = np.array([len(nodes) for nodes in trees])
    roots = np.cumsum(sizes) - sizes
    nodes, own = np.concatenate(trees), np.arange(sizes.sum())
    leaf, base = nodes["is_leaf"] > 0, np.repeat(roots, sizes)
    children = [np.where(leaf, own, base + nodes[side]) for side in ("left", "right")]
    return Forest(
        start=np.array(float(regressor._baseline_prediction.item())),  # noqa: SLF001
        roots=roots.astype(np.int64),
        depth=np.array(int(nodes["depth"].max()), dtype=np.int64),
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, np.inf, nodes["num_threshold"]),
        missing=nodes["missing_go_to_left"].astype(np.int64),
        children=np.stack(children, axis=1).astype(np.int64),
        value=nodes["value"].astype(np.float64),
    )
