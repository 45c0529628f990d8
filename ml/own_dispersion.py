"""How much more or less a product varies than others of its kind, as far as its own months tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.features import seen
from ml.history import History

Floats = NDArray[np.float64]

FEWEST_MONTHS: Final = 6
"""A product with fewer known months is taken as usual."""

SMALLEST_FACTOR: Final = 0.2
LARGEST_FACTOR: Final = 5.0

ALIKE: Final = (1.0, 0.0)
"""Mean and variance of dispersions that leave every product as usual."""

_BOUNDS: Final = (-1.0, 10.0)
_SMALLEST_MEAN: Final = 0.1
_SMALLEST_USUAL: Final = 0.02


@dataclass(frozen=True, eq=False)
class OwnMonths:
    """What months of products say of their dispersion d in Var[Y] = m + d m^2.

    Attributes:
        estimate: (n,) of d by moments, kept between -1 and 10.
        noise: (n,) 1 / m, the counting noise of a month of m units.
        months: (n,) known ones.
    """

    estimate: Floats
    noise: Floats
    months: Floats

    @classmethod
    def of(cls, history: History) -> Self:
        """From all known months."""
        own = seen(history, history.T)
        mean = np.maximum(np.nan_to_num(own.mean), _SMALLEST_MEAN)
        months = np.maximum(own.months, 1.0)
        deviation = np.nan_to_num(own.deviation)
        variance = deviation * deviation * months / np.maximum(months - 1.0, 1.0)
        return cls(np.clip((variance - mean) / (mean * mean), *_BOUNDS), 1.0 / mean, months)

    @classmethod
    def joined(cls, parts: Sequence[Self], rows: Sequence[NDArray[np.bool_]]) -> Self:
        """Those rows of each part below each other."""
        names = ("estimate", "noise", "months")
        columns = [
            [getattr(part, name)[use] for part, use in zip(parts, rows, strict=True)] for name in names
        ]
        return cls(*(np.concatenate([np.empty(0), *column]) for column in columns))

    def doubt(self, usual: Floats | float) -> Floats:
        """(n,) variance of the estimate where d is `usual`; units are nearly gamma, whose kurtosis is 3 + 6 d."""
        variance: Floats = (2.0 + 6.0 * usual) * (self.noise + usual) ** 2 / self.months
        return variance

    def spread(self, pool: NDArray[np.bool_]) -> tuple[float, float]:
        """Mean of d among the rows of `pool`, and its variance beyond the doubt of each; 1 and 0 without any."""
        use = pool & (self.months >= FEWEST_MONTHS)
        if not use.any():
            return ALIKE
        part = OwnMonths(self.estimate[use], self.noise[use], self.months[use])
        weight = 1.0 / part.doubt(1.0)
        usual = max(float(np.average(part.estimate, weights=weight)), _SMALLEST_USUAL)
        beyond = (part.estimate - usual) ** 2 - part.doubt(usual)
        return usual, max(float(np.average(beyond, weights=weight)), 0.0)

    def factors(self, usual: Floats, variance: Floats) -> Floats:
        """(n,) dispersion over the usual one, shrunk to 1 by doubt (linear empirical Bayes, Efron and Morris 1975).

        Args:
            usual: (n,) mean of d among products of the same kind.
            variance: (n,) of d among them.
        """
        told = np.where(self.months >= FEWEST_MONTHS, variance / (variance + self.doubt(usual)), 0.0)
        return np.clip(1.0 + told * (self.estimate / usual - 1.0), SMALLEST_FACTOR, LARGEST_FACTOR)
