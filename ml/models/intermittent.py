"""Demand with many empty months: how often and how much, smoothed apart."""

from __future__ import annotations

from itertools import product
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ml.features import window
from ml.history import History
from ml.models.base import Uncertainty
from ml.models.smoothing import PointModel

Floats = NDArray[np.float64]

WEIGHTS: Final = tuple(product((0.05, 0.1, 0.2, 0.3, 0.5), repeat=2))


class TeunterSyntetosBabai(PointModel):
    """TSB (Teunter, Syntetos and Babai 2011) with a negative binomial around it.

    Unlike Croston's method it lowers the chance of a sale in every empty month, so a product that stopped
    selling fades out. Both weights are chosen per product by the squared one-step error in the sample.
    """

    name: ClassVar[str] = "tsb"
    family: ClassVar[str] = "intermittent"
    uncertainty: ClassVar[Uncertainty] = "counts"

    def point(self, history: History) -> Floats:
        """Chance of a sale times its size, both smoothed up to the last month."""
        units = history.units
        chance_weight, size_weight = (np.array(weights) for weights in zip(*WEIGHTS, strict=True))
        start = window(units, history.T).nonzero_share
        usual = window(np.where(units > 0, units, np.nan), history.T).mean
        chance = np.repeat(start[:, np.newaxis], len(WEIGHTS), axis=1)
        size = np.repeat(usual[:, np.newaxis], len(WEIGHTS), axis=1)
        errors = np.zeros(chance.shape)
        for t in range(history.T):
            value = units[:, t, np.newaxis]
            known, sold = ~np.isnan(value), value > 0
            errors = errors + np.where(known, (value - chance * size) ** 2, 0.0)
            chance = np.where(known, chance + chance_weight * (sold - chance), chance)
            size = np.where(sold, size + size_weight * (value - size), size)
        errors = np.where(np.isnan(errors), 0.0, errors)
        best = np.argmin(errors, axis=1)
        row = np.arange(history.n)
        expected: Floats = chance[row, best] * size[row, best]
        return expected
