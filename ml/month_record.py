"""How whole months went against forecasts that were made before them, for a shop and its categories."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import P10, P50, P90, Floats, Prediction
from ml.history import History

SHOP: Final = "shop"
SMALLEST_GROUP: Final = 15
"""A category with fewer products to compare has no line of its own."""

SMALLEST_ERROR: Final = 1e-3
"""Smaller mean errors are all called perfect."""


@dataclass(frozen=True, eq=False)
class MonthRecord:
    """Statistics of months that a model had not seen when it forecast them.

    Attributes:
        months: (k,) `datetime64[M]`, oldest first.
        values: One array of k per statistic; NaN where a month has none.
    """

    months: NDArray[np.datetime64]
    values: Mapping[str, Floats]

    @classmethod
    def of(cls, months: Mapping[np.datetime64, Mapping[str, float]]) -> Self:
        """From the statistics of each month."""
        order = sorted(months)
        names = sorted({name for statistics in months.values() for name in statistics})
        values = {name: np.array([months[month].get(name, np.nan) for month in order]) for name in names}
        return cls(np.array(order, dtype="datetime64[M]"), values)

    def state(self) -> dict[str, NDArray[Any] | str]:
        """Arrays for the bundle."""
        names = sorted(self.values)
        columns = [self.values[name] for name in names]
        return {
            "months": self.months.astype(np.int64),
            "names": np.array(names, dtype=np.str_),
            "values": np.array(columns, dtype=np.float64).reshape(len(names), len(self.months)),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any] | str]) -> Self:
        """What `state` stored."""
        names = np.asarray(state["names"]).tolist()
        months = np.asarray(state["months"]).astype(np.int64).astype("datetime64[M]")
        return cls(months, dict(zip(names, np.asarray(state["values"], dtype=np.float64), strict=True)))


def month_statistics(
    history: History, t: int, prediction: Prediction, counted: NDArray[np.bool_]
) -> dict[str, float]:
    """How month index `t` went against its forecast, by `<group>:<statistic>`; empty with few products.

    `volume` is the log of units sold over units forecast. `rank` is the mean place of the outcomes in their
    forecast distributions, 0 to 1. Of the shop, `outside` is the share of outcomes outside the 80 % interval and
    `error` the log of the mean absolute error of the median, each in widths of its own 80 % interval, at least a unit.

    Args:
        history: Has month `t`.
        t: Column of the month.
        prediction: Calibrated, of every product, from the months before.
        counted: (n,) which products count.
    """
    actual, levels = history.units[:, t], prediction.levels
    counted = counted & ~np.isnan(actual)
    ranks = _ranks(levels, actual)
    found = {}
    for name, group in _groups(history, counted):
        found[f"{name}:volume"] = log_ratio(float(actual[group].sum()), float(prediction.mean[group].sum()))
        found[f"{name}:rank"] = float(ranks[group].mean())
    if found:
        outside = (actual < levels[:, P10]) | (actual > levels[:, P90])
        found[f"{SHOP}:outside"] = float(outside[counted].mean())
        width = np.maximum(levels[:, P90] - levels[:, P10], 1.0)
        error = float(np.mean(np.abs(actual - levels[:, P50])[counted] / width[counted]))
        found[f"{SHOP}:error"] = math.log(max(error, SMALLEST_ERROR))
    return found


def log_ratio(top: float, bottom: float) -> float:
    """log(top / bottom) with one added to both, so that nothing against nothing is no change."""
    return math.log((top + 1) / (bottom + 1))


def _groups(history: History, counted: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    categories = np.array(history.categories)
    groups = {SHOP: counted}
    groups |= {f"category {name}": counted & (categories == name) for name in sorted(set(history.categories))}
    yield from ((name, group) for name, group in groups.items() if group.sum() >= SMALLEST_GROUP)


def _ranks(quantiles: Floats, actual: Floats) -> Floats:
    """(n,) share of the forecast's quantiles that lie below each outcome, those equal to it by half."""
    outcome = actual[:, np.newaxis]
    ranks: Floats = np.mean((quantiles < outcome) + 0.5 * (quantiles == outcome), axis=1)
    return ranks
