"""Gradient boosted trees over all products (LightGBM), on units divided by the product's level."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml import planned
from ml.booster import Booster
from ml.distribution import LEVELS, Prediction, mean_of, tidy
from ml.errors import NotEnoughHistory
from ml.features import CategoryTotals
from ml.hindcasts import Hindcasts, TrainingRows
from ml.history import History
from ml.models.base import State, Uncertainty
from ml.models.ensemble import section
from ml.response import Response

Floats = NDArray[np.float64]

TREES: Final = 100
TRAINING_ROWS: Final = 25_000
LARGEST_TARGET: Final = 30.0
"""A month of more than thirty times the level teaches no more than one of thirty."""

HALF_LIFE: Final = 96.0
"""Months after which a row counts half: what sold long ago still tells of seasons, but less."""

_RESPONSE: Final = "response/"

PARAMETERS: Final = {
    "learning_rate": 0.08,
    "num_leaves": 20,
    "max_bin": 63,
    "min_data_in_leaf": 60,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
    "num_threads": 1,  # two threads on a busy machine of two cores are 16 times slower
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


class Trees:
    """A fitted LightGBM model that lives as text, so a stored one predicts the same bits."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _booster(self) -> Booster:
        return Booster(self.text)

    def __call__(self, rows: Floats) -> Floats:
        """(n,) predictions."""
        if not len(rows):
            return np.empty(0)
        return self._booster.predict(rows)


def learned(cached: Hindcasts, months: int, most: int) -> TrainingRows:
    """Rows of the first `months` to learn from, at most so many.

    Raises:
        NotEnoughHistory: There is none.
    """
    rows = cached.training_rows(months, most)
    if not len(rows.units):
        raise NotEnoughHistory(
            f"{months} months of history hold no month to learn from, at least 2 are needed"
        )
    return rows


def grow(
    history: History,
    seed: int,
    hindcasts: Hindcasts | None,
    objectives: list[dict[str, Any]],
    *,
    weighted: bool,
) -> tuple[list[Trees], Response | None]:
    """One model per objective, all on the same rows, by their age and, if asked, the root of their level.

    Also the plan's effects, None without a plan.

    Raises:
        NotEnoughHistory: No product has a month to learn from after its first.
    """
    import lightgbm  # noqa: PLC0415 - what serves never grows a tree, and this takes seconds and scipy

    cached = Hindcasts.of(history, seed, hindcasts)
    rows = learned(cached, history.T, TRAINING_ROWS)
    names = planned.names(planned=bool(history.plan))
    target = np.minimum(rows.units / rows.size, LARGEST_TARGET)
    recency = 0.5 ** (rows.age / HALF_LIFE)
    weight = recency * np.sqrt(rows.level) if weighted else recency

    def fit(goal: dict[str, Any]) -> Trees:
        data = lightgbm.Dataset(
            rows.features, target, weight=weight, params=PARAMETERS, feature_name=list(names)
        )
        return Trees(lightgbm.train(PARAMETERS | {"seed": seed} | goal, data, TREES).model_to_string())

    # LightGBM leaves the interpreter lock while it works: models side by side use the cores, each on one thread.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(fit, objectives)), cached.response(history.T)


@dataclass(frozen=True, eq=False)
class QuantileTrees:
    """One boosted model per quantile level."""

    name: ClassVar[str] = "lightgbm_quantile"
    family: ClassVar[str] = "boosting"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "quantiles"

    trees: tuple[Trees, ...]
    response: Response | None = None

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Pinball loss at each of `LEVELS`; each product counts the same, as in the loss that judges it."""
        goals = [{"objective": "quantile", "alpha": q} for q in LEVELS]
        trees, response = grow(history, seed, hindcasts, goals, weighted=False)
        return cls(tuple(trees), response)

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Quantiles in units; the mean is their integral."""
        rows = planned.build(history, categories, self.response)
        size = planned.size(history, self.response)
        quantiles = tidy(np.stack([trees(rows) * size for trees in self.trees], axis=1))
        return Prediction(mean_of(quantiles), quantiles)

    def state(self) -> State:
        """One text per level, and the plan's effects."""
        texts = {f"q{q:.2f}": trees.text for q, trees in zip(LEVELS, self.trees, strict=True)}
        return texts | response_state(self.response)

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        return cls(tuple(Trees(str(state[f"q{q:.2f}"])) for q in LEVELS), response_of(state))


@dataclass(frozen=True, eq=False)
class TweedieTrees:
    """One boosted model of the mean under Tweedie loss, with a negative binomial around it."""

    name: ClassVar[str] = "lightgbm_tweedie"
    family: ClassVar[str] = "boosting"
    promotable: ClassVar[bool] = True
    uncertainty: ClassVar[Uncertainty] = "counts"

    trees: Trees
    response: Response | None = None

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """Tweedie deviance with power 1.2: many zeros, variance growing a little faster than the mean."""
        goal = {"objective": "tweedie", "tweedie_variance_power": 1.2}
        trees, response = grow(history, seed, hindcasts, [goal], weighted=True)
        return cls(trees[0], response)

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Mean units."""
        rows = planned.build(history, categories, self.response)
        size = planned.size(history, self.response)
        return Prediction(np.maximum(self.trees(rows) * size, 0.0), None)

    def state(self) -> State:
        """The text of the model, and the plan's effects."""
        return {"trees": self.trees.text} | response_state(self.response)

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`."""
        return cls(Trees(str(state["trees"])), response_of(state))


def response_state(response: Response | None) -> State:
    """The part of a state that keeps the plan's effects; nothing without a plan."""
    return {} if response is None else {f"{_RESPONSE}{key}": value for key, value in response.state().items()}


def response_of(state: Mapping[str, NDArray[np.generic] | str]) -> Response | None:
    """The inverse of `response_state`."""
    found = section(state, _RESPONSE)
    return Response.from_state(found) if found else None
