"""How demand answers to advertising: a curve fitted to spend history, or a stated prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImpossibleEconomics

Floats = NDArray[np.float64]

LEAST_MONTHS: Final = 12
LEAST_VARIATION: Final = 0.1
"""Standard deviation over mean of the spend: with less there is nothing to learn a response from."""

CARRYOVERS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
SHAPES: Final = (0.3, 0.5, 0.7, 1.0)
HALVES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Spend of half the effect, in mean spends."""

_GRID: Final = tuple(product(CARRYOVERS, SHAPES, HALVES))
_LOW, _MIDDLE, _HIGH = 0.16, 0.5, 0.84
_FITTED_NUMBERS = 5
_SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class Response:
    """Demand at a spend, up to a factor: organic + (1 - organic) r^shape (1 + pull) / (1 + pull r^shape).

    r is the spend over `reference`, so at the reference the value is 1. This is the Hill curve
    beta x^s / (k^s + x^s) of media mix models (Jin, Wang, Sun, Chan and Koehler 2017) on a base, with
    pull = (reference / k)^s; with no base and no pull it is constant elasticity (Dorfman and Steiner 1954).
    Numbers may be arrays, one value per product.

    Args:
        reference_cents: Spend of a month, above 0.
        organic: Share of demand at the reference that comes without advertising, 0 to 1.
        shape: Above 0, at most 1: the curve is concave, so the optimum is one.
        pull: Saturation, 0 or more.
    """

    reference_cents: Floats
    organic: Floats
    shape: Floats
    pull: Floats

    def __post_init__(self) -> None:
        if np.any(self.shape > 1) or np.any(self.shape < 0) or np.any(self.reference_cents <= 0):
            raise ValueError("a response needs a reference above 0 and a shape from 0 to 1")

    @classmethod
    def constant_elasticity(cls, spend: Floats, elasticity: Floats) -> Self:
        """Percent more demand for one percent more spend, the same at every spend."""
        nothing = np.zeros_like(elasticity)
        return cls(spend, nothing, np.clip(elasticity, 0.0, 0.99), nothing)

    def lift(self, spend: Floats) -> Floats:
        """Demand at a spend over demand at the reference."""
        power = (spend / self.reference_cents) ** self.shape
        level: Floats = self.organic + (1 - self.organic) * power * (1 + self.pull) / (1 + self.pull * power)
        return level

    def slope(self, spend: Floats) -> Floats:
        """Derivative of `lift` by the spend, per cent; the spend must be above 0."""
        ratio = np.maximum(spend / self.reference_cents, _SMALLEST)
        power = ratio**self.shape
        rise: Floats = (1 - self.organic) * (1 + self.pull) * self.shape * power / ratio
        return rise / (1 + self.pull * power) ** 2 / self.reference_cents

    @property
    def elasticity(self) -> Floats:
        """Percent more demand for one percent more spend at the reference."""
        local: Floats = (1 - self.organic) * self.shape / (1 + self.pull)
        return local


@dataclass(frozen=True, eq=False)
class Responses:
    """A response with its uncertainty: one standard error lower, the middle, one higher."""

    low: Response
    middle: Response
    high: Response
    source: str


def prior(spend_cents: float, elasticity: float, error: float, source: str) -> Responses:
    """A stated elasticity and its standard error; nothing was measured."""
    spend = np.array(float(spend_cents))
    low, middle, high = (
        Response.constant_elasticity(spend, np.array(value))
        for value in (elasticity - error, elasticity, elasticity + error)
    )
    return Responses(low, middle, high, source)


def fit(spend_cents: Sequence[float], units: Sequence[float]) -> Responses | None:
    """Hill curves with geometric adstock that explain a product's own months; None where they cannot.

    Units are taken as base + beta h(a_t) + noise, a_t = (1 - carryover) x_t + carryover a_(t-1), both
    coefficients 0 or more. Carryover, shape and half point come from a grid; each point of it weighs by its
    profile likelihood SSE^(-(T - 5) / 2), the five fitted numbers taken off the months T, and low, middle and
    high are the weighted 16, 50 and 84 % points by elasticity. Spend that followed demand (more in
    December) looks like response: keep months with an unusual season out.

    Args:
        spend_cents: Of consecutive months, oldest first.
        units: Sold in the same months.

    Raises:
        ImpossibleEconomics: The lengths differ or a value is negative.
    """
    spend, sold = np.array(spend_cents, dtype=np.float64), np.array(units, dtype=np.float64)
    if spend.shape != sold.shape or not (np.all(spend >= 0) and np.all(sold >= 0)):
        raise ImpossibleEconomics(
            f"advertising history has {spend.size} spends and {sold.size} months of units; "
            "give as many of both, each 0 or more"
        )
    if spend.size < LEAST_MONTHS or spend.std() <= LEAST_VARIATION * spend.mean() or sold.std() == 0:
        return None
    curves, errors = zip(*(_fitted(spend, sold, *point) for point in _GRID), strict=True)
    likelihood = -0.5 * (spend.size - _FITTED_NUMBERS) * np.log(np.maximum(errors, _SMALLEST))
    weight = np.exp(likelihood - likelihood.max())
    order = np.argsort([float(curve.elasticity) for curve in curves], kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    low, middle, high = (
        curves[order[min(int(np.searchsorted(reached, share)), len(order) - 1)]]
        for share in (_LOW, _MIDDLE, _HIGH)
    )
    return Responses(low, middle, high, "fitted")


def adstock(spend: Floats, carryover: float) -> Floats:
    """(months,) the spend that still works: a constant spend has itself as adstock (Broadbent 1979)."""
    works, stays = np.empty_like(spend), float(spend[0])
    for month, value in enumerate(spend):
        stays = (1 - carryover) * float(value) + carryover * stays
        works[month] = stays
    return works


def _fitted(
    spend: Floats, sold: Floats, carryover: float, shape: float, half: float
) -> tuple[Response, float]:
    """The curve at a point of the grid and its share of unexplained variance."""
    reference = float(spend.mean())
    pull = half**-shape
    power = (adstock(spend, carryover) / reference) ** shape
    effect = power * (1 + pull) / (1 + pull * power)
    base, beta = _line(effect, sold)
    error = float(((sold - base - beta * effect) ** 2).sum() / ((sold - sold.mean()) ** 2).sum())
    organic = base / (base + beta)
    return Response(*map(np.array, (reference, organic, shape, pull))), error


def _line(effect: Floats, sold: Floats) -> tuple[float, float]:
    """Least squares with both coefficients 0 or more."""
    spread = effect - effect.mean()
    beta = max(float(spread @ sold) / float(spread @ spread), 0.0)
    base = float(sold.mean()) - beta * float(effect.mean())
    if base >= 0:
        return base, beta
    return 0.0, float(effect @ sold) / float(effect @ effect)
