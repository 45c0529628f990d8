"""Demand as probabilities of whole units: what every decision is computed from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import LEVELS, TAIL_SHARE, cdf, last_units, masses

Floats = NDArray[np.float64]

MOST_POINTS = 4096
"""Above this many units the grid gets coarser: steps of 2, 3, ... units, an error below 1 in 4,000."""


@dataclass(frozen=True, eq=False)
class Demand:
    """P(Y = k step) for k = 0, 1, ...; sums to 1. The step is one unit up to 4,096 units.

    Args:
        probability: (points,), >= 0; scaled to sum to 1.
        step: Units between two points.
    """

    probability: Floats
    step: int = 1

    def __post_init__(self) -> None:
        total = self.probability.sum()
        if not (np.all(self.probability >= 0) and 0 < total < math.inf):
            raise ValueError("probabilities must be 0 or more with a sum above 0")
        object.__setattr__(self, "probability", self.probability / total)

    @classmethod
    def of(cls, forecast: Mapping[str, Any]) -> Self:
        """Demand of one forecast answer: its probability mass, else its quantiles.

        Raises:
            ValueError: It has neither a mass nor quantiles at every level.
        """
        return cls.of_all([forecast])[0]

    @classmethod
    def of_all(cls, forecasts: Sequence[Mapping[str, Any]]) -> list[Self]:
        """The same of many forecasts, and much faster."""
        rows = [None if f.get("probability_mass") is not None else _quantiles(f) for f in forecasts]
        made = iter(
            cls.from_quantiles(np.array([row for row in rows if row is not None]).reshape(-1, len(LEVELS)))
        )
        return [
            cls(np.array(forecast["probability_mass"], dtype=np.float64)) if row is None else next(made)
            for forecast, row in zip(forecasts, rows, strict=True)
        ]

    @classmethod
    def from_quantiles(cls, quantiles: Floats) -> list[Self]:
        """Demands with these units at `LEVELS`; a cell holds the mass nearer to it than to its neighbours.

        Args:
            quantiles: (n, 8), tidy.
        """
        last = last_units(quantiles)
        steps = -(-(last + 1) // (MOST_POINTS - 1))
        fine = iter(masses(quantiles[steps == 1]))
        return [
            cls(next(fine) if step == 1 else _coarse(row, unit, step), step)
            for row, unit, step in zip(quantiles, last.tolist(), steps.tolist(), strict=True)
        ]

    @property
    def units(self) -> Floats:
        """(points,) units of each probability."""
        return np.arange(len(self.probability), dtype=np.float64) * self.step

    @cached_property
    def mean(self) -> float:
        """Expected units."""
        return self.expected(self.units)

    def expected(self, values: Floats) -> float:
        """Mean of a value that is known for every point."""
        return float(self.probability @ values)

    @cached_property
    def reached(self) -> Floats:
        """(points,) P(Y <= k step)."""
        return np.cumsum(self.probability)

    @cached_property
    def partial_mean(self) -> Floats:
        """(points,) E[Y; Y <= k step]: the part of the mean that comes from outcomes up to a point."""
        return np.cumsum(self.probability * self.units)

    def quantile(self, share: float) -> int:
        """Smallest units S with P(Y <= S) >= share; exact on the grid, for shares from 0 to 1."""
        # Sums of probabilities carry rounding errors; a share met up to 1e-12 is met.
        point = int(np.searchsorted(self.reached, share - 1e-12))
        return min(point, len(self.reached) - 1) * self.step

    def expected_sales(self, stock: Floats) -> Floats:
        """E[min(Y, S)] for each stock S >= 0, which need not lie on the grid."""
        point = np.minimum((np.asarray(stock) // self.step).astype(np.intp), len(self.reached) - 1)
        sold: Floats = self.partial_mean[point] + stock * (1.0 - self.reached[point])
        return sold

    def over(self, months: int) -> Self:
        """Demand of several months that are alike and independent, by convolution.

        Quantiles do not add: the sum of ten 90 % quantiles lies far above the 90 % quantile of the sum.
        """
        total = self.probability
        for _ in range(months - 1):
            total = _without_far_tail(np.convolve(total, self.probability))
        return type(self)(total, self.step)


def _quantiles(forecast: Mapping[str, Any]) -> list[float]:
    quantiles = forecast.get("quantiles") or {}
    missing = [level for level in LEVELS if f"{level:.2f}" not in quantiles]
    if missing:
        raise ValueError(f"the forecast has no quantile at {missing[0]:.2f} and no probability mass")
    return [quantiles[f"{level:.2f}"] for level in LEVELS]


def _coarse(row: Floats, last: int, step: int) -> Floats:
    edges = (np.arange(-(-last // step) + 1, dtype=np.float64) + 0.5) * step
    return np.diff(cdf(row, edges), prepend=0.0)


def _without_far_tail(probability: Floats) -> Floats:
    """A convolution makes the tail longer each time; the last millionth is left out."""
    return probability[: int(np.searchsorted(np.cumsum(probability), 1 - TAIL_SHARE)) + 1]


def worst_mean(values: Floats, probability: Floats, share: float) -> float:
    """Mean of the largest values that together have this probability: CVaR at level 1 - share.

    Exact for discrete outcomes: the value at the border counts with the part that still fits
    (Rockafellar and Uryasev 2002).
    """
    order = np.argsort(-values, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(probability[order])[:-1]))
    weight = np.clip(share - before, 0.0, probability[order])
    return float(weight @ values[order] / weight.sum())


def outcome_quantile(values: Floats, probability: Floats, share: float) -> float:
    """Smallest value that is reached with at least this probability."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(probability[order])
    return float(values[order][min(int(np.searchsorted(reached, share - 1e-12)), len(values) - 1)])
