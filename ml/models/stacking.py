"""Weights of members from what they would have forecast in the last months."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.distribution import LEVELS
from ml.features import level, squared_scale
from ml.hindcasts import Hindcast
from ml.history import History

Floats = NDArray[np.float64]

RIDGE: Final = 0.3
LARGEST_TARGET: Final = 10.0
"""A month of more than ten times the usual units teaches no more than one of ten."""

DESCENT_ROUNDS: Final = 500
SHARE_STEPS: Final = 10
SHARE_RATE: Final = 5.0
MOST_ROWS: Final = 20_000

_LEVELS: Final = np.array(LEVELS)


def usual_units(history: History) -> Floats:
    """(n,) units that errors are divided by: the mean of the level and of the root mean square month to month."""
    return 0.5 * level(history) + 0.5 * np.sqrt(squared_scale(history))


def levelled(weights: Floats) -> Floats:
    """Weights that add up to 1; unchanged if all are 0.

    Their sum says how much all members were too high or too low in a few months, which share what moved
    everything in them.
    """
    total = float(weights.sum())
    return weights / total if total > 0 else weights


def mean_weights(past: Sequence[Sequence[Hindcast]], unit: Callable[[History], Floats]) -> Floats:
    """Non-negative weights of members with a small squared error of scaled units; equal ones without any past.

    A member that lost to the last one has none.

    Args:
        past: Per member the same months.
        unit: (n,) units that forecasts and outcomes of a history's products are divided by.
    """

    def joined(units: Sequence[Floats], months: Sequence[Hindcast]) -> Floats:
        parts = [(values / unit(h.history))[h.settled] for values, h in zip(units, months, strict=True)]
        return np.concatenate([np.empty(0), *parts])

    means = [joined([h.prediction.mean for h in member], member) for member in past]
    target = np.minimum(joined([h.actual for h in past[0]], past[0]), LARGEST_TARGET)
    loss = np.array([float(np.sum((mean - target) ** 2)) for mean in means])
    kept = np.flatnonzero(loss <= loss[-1])
    weights = np.zeros(len(past))
    weights[kept] = ridge_to_equal(np.stack([means[i] for i in kept], axis=1), target)
    return weights


def ridge_to_equal(columns: Floats, target: Floats) -> Floats:
    """Non-negative least squares with a ridge towards equal weights, by coordinate descent."""
    count, equal = columns.shape[1], 1.0 / columns.shape[1]
    penalty = RIDGE * RIDGE * max(len(target), 1)
    gram = columns.T @ columns + penalty * np.eye(count)
    moment = columns.T @ target + penalty * equal
    weights = np.full(count, equal)
    for _ in range(DESCENT_ROUNDS):
        for i in range(count):
            weights[i] = max(0.0, weights[i] - (gram[i] @ weights - moment[i]) / gram[i, i])
    return weights


def level_shares(levels: Floats, actual: Floats, scale: Floats, start: Floats, seed: int) -> Floats:
    """Shares of distributions in their average, level by level, moved from `start` to a smaller pinball loss.

    A few steps of exponentiated gradient descent (Kivinen and Warmuth 1997) on the logarithm of the loss: shares
    stay positive, add up to 1, and do not go far on the evidence of a few months.

    Args:
        levels: (k, m, 8) quantiles of k distributions.
        actual: (m,) units.
        scale: (m,) units that losses are divided by.
        start: (k,) shares, > 0, adding up to 1.
        seed: Of the sample when there are more than `MOST_ROWS` rows.
    """
    if len(actual) > MOST_ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(len(actual), MOST_ROWS, replace=False))
        levels, actual, scale = levels[:, keep], actual[keep], scale[keep]
    scaled, target, shares = levels / scale[:, np.newaxis], (actual / scale)[:, np.newaxis], start
    for _ in range(SHARE_STEPS if len(actual) else 0):
        short = target - average(scaled, shares)
        slope = np.where(short >= 0, -_LEVELS, 1.0 - _LEVELS)
        loss = -float(np.mean(slope * short))
        gradient = np.array([float(np.mean(slope * one)) for one in scaled])
        if loss > 0:
            shares = shares * np.exp(-SHARE_RATE * (gradient - float(shares @ gradient)) / loss)
            shares = shares / shares.sum()
    return shares


def average(parts: Sequence[Floats] | Floats, weights: Floats) -> Floats:
    """The weighted sum of arrays of one shape, added up in their order."""
    total = np.zeros(parts[0].shape)
    for part, weight in zip(parts, weights, strict=True):
        total = total + weight * part
    return total
