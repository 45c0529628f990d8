"""Months in which a product was often out of stock: demand is what was sold and what would have been."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml import negative_binomial
from ml.exposure import unseen_units
from ml.features import SEASON
from ml.history import History

Floats = NDArray[np.float64]

CENSORED_SHARE: Final = 0.2
"""Sales of a month with a larger share of days without stock are not its demand."""


def censored(history: History, out: Floats) -> NDArray[np.bool_]:
    """(n, T) months since the first sale that were without stock for more than `CENSORED_SHARE` of their days.

    Args:
        history: Units sold.
        out: (n, T) share of days without stock, 0 to 1; 0 where nothing is known.
    """
    return (out > CENSORED_SHARE) & ~np.isnan(history.units)


def with_latent_demand(history: History, out: Floats) -> History:
    """The history with estimated demand, in whole units, in place of the sales of censored months.

    Demand of a month is negative binomial around the product's usual month; its rate is told by the days with
    stock and by the months before (`ml.exposure`). The usual month is the sales of up to twelve earlier months
    over the days with stock in them, and the dispersion that of all products in earlier months. So a month's
    estimate depends on no later month, and never lies below what was sold.

    Args:
        history: Units sold.
        out: As for `censored`.
    """
    wanted = censored(history, out)
    if not wanted.any():
        return history
    units, known = np.nan_to_num(history.units), ~np.isnan(history.units)
    seen = np.where(known, 1.0 - out, 0.0)
    latent = history.units.copy()
    expected, sold = np.empty(0), np.empty(0)
    for t in range(history.T):
        before = slice(max(0, t - SEASON), t)
        months = seen[:, before].sum(axis=1)
        usual = units[:, before].sum(axis=1) / np.where(months > 0, months, 1.0)
        here = wanted[:, t]
        first = np.divide(units[:, t], seen[:, t], out=units[:, t].copy(), where=seen[:, t] > 0)
        mean = np.where(months > 0, usual, first)[here]
        weight = 1.0 / np.maximum(negative_binomial.dispersion(expected, sold) * mean, 1e-9)
        rest = unseen_units(units[here, t], seen[here, t], mean, weight)
        latent[here, t] = np.round(units[here, t] + rest)
        whole = known[:, t] & (out[:, t] == 0) & (months > 0)
        expected, sold = np.append(expected, usual[whole]), np.append(sold, units[whole, t])
    return replace(history, units=latent)
