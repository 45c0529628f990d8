"""How sure is a number that rests on some products and a few months? Tests for losses paired by both.

Tables are (n, K): one row per product, one column per month, 0 where a pair was not tested. A product can be off in
all months and a month can be off for all products, so neither counts as many independent observations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FARTHEST: Final = 1e6
"""Quantiles of Student's distribution are looked for up to here."""


@dataclass(frozen=True)
class Interval:
    """A ratio of two sums and the ends of its interval."""

    ratio: float
    lower: float
    upper: float

    @property
    def half_width(self) -> float:
        """Half of the distance between the ends."""
        return (self.upper - self.lower) / 2


def bootstrap(top: Floats, bottom: Floats, *, seed: int, draws: int, confidence: float) -> Interval:
    """Interval of the ratio of two sums, by resampling products and months at once.

    A pair counts as often as its product times its month was drawn (the pigeonhole bootstrap, Owen 2007).
    Products are weighted by exponentials instead of counts, which have the same mean and variance (Owen and
    Eckles 2012) and are ten times faster to draw. The standard deviation of the log ratios makes the interval,
    with Student's distribution and a factor for the smaller of both numbers, since a percentile of six months
    is too narrow (Cameron, Gelbach and Miller 2011). Its degrees of freedom are those of `ratio_error`.

    Args:
        top: (n, K) losses of the challenger.
        bottom: (n, K) losses of the champion.
        seed: Same tables and seed give the same bits.
        draws: How many.
        confidence: Share of such intervals that hold the true ratio.
    """
    products, months = top.shape
    generator = np.random.default_rng(seed)
    of_products = generator.standard_exponential((draws, products))
    of_months = generator.multinomial(months, np.full(months, 1 / months), draws)
    above, below = (np.sum((of_products @ table) * of_months, axis=1) for table in (top, bottom))
    usable = (above > 0) & (below > 0)
    ratio = float(top.sum() / bottom.sum())
    if not usable.any():
        return Interval(ratio, 0.0, math.inf if ratio else 0.0)
    fewest = min(products, months)
    deviation = float(np.std(np.log(above[usable] / below[usable]))) * math.sqrt(fewest / (fewest - 1))
    _, freedom = ratio_error(top, bottom, (top != 0) | (bottom != 0))
    reach = student_quantile((1 + confidence) / 2, freedom) * deviation
    return Interval(ratio, ratio * math.exp(-reach), ratio * math.exp(reach))


def ratio_error(top: Floats, bottom: Floats, tested: NDArray[np.bool_]) -> tuple[float, int]:
    """Standard error of the ratio of two sums and its degrees of freedom, clustered by product and by month.

    The sum of both variances less what they have in common, and no less than either of them (Cameron, Gelbach
    and Miller 2011). It needs no draws, so hundreds of parts can be tested. Degrees of freedom are those of a
    sum of variances (Satterthwaite 1946): few where the months decide, more where the products do.

    Args:
        top: (n, K).
        bottom: (n, K), with a sum that is not 0.
        tested: (n, K) pairs that count; products and months without any are left out.
    """
    shape = np.count_nonzero(tested.any(axis=1)), np.count_nonzero(tested.any(axis=0))
    if min(shape) <= 1:
        return math.inf, 0
    total = bottom[tested].sum()
    ratio = top[tested].sum() / total
    influence = np.where(tested, (top - ratio * bottom) / total, 0.0)
    of_product, of_month = influence.sum(axis=1), influence.sum(axis=0)
    ways = [
        float(part @ part) * size / (size - 1)
        for part, size in zip((of_product, of_month), shape, strict=True)
    ]
    variance = max(sum(ways) - float(np.sum(influence**2)), *ways)
    spread = sum(way**2 / (size - 1) for way, size in zip(ways, shape, strict=True))
    freedom = int(variance**2 / spread) if spread > 0 else 0
    return math.sqrt(variance), max(freedom, int(min(shape)) - 1)


def student_tail(t: float, freedom: int) -> float:
    """P(T > t) of Student's distribution with whole degrees of freedom; 1 without any."""
    if freedom < 1 or math.isnan(t):
        return 1.0
    half = student_two_sided(abs(t), freedom) / 2
    return half if t >= 0 else 1 - half


def student_quantile(share: float, freedom: int) -> float:
    """The t below which a share of at least one half lies, by bisection."""
    low, high = 0.0, _FARTHEST
    while (middle := (low + high) / 2) not in (low, high):
        if student_tail(middle, freedom) > 1 - share:
            low = middle
        else:
            high = middle
    return high


def student_two_sided(t: float, freedom: int) -> float:
    """P(|T| > t) of Student's distribution with whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = 1.0, 0.0
    odd = freedom % 2
    if odd:
        term = cosine
    for k in range(odd + 1, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1.0 - inside)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value corrected for the number of tests, in their order (Holm 1979); may exceed 1."""
    corrected, so_far = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        so_far = max(so_far, (len(p_values) - rank) * p_values[i])
        corrected[i] = so_far
    return corrected


def diebold_mariano(differences: Floats) -> tuple[float, float]:
    """Statistic and two-sided p-value of equal losses from one mean difference per month.

    Diebold and Mariano (1995) for one step ahead, with the correction of Harvey, Leybourne and Newbold (1997).
    Below 0 the challenger is better. NaN where the differences do not vary.
    """
    months = len(differences)
    if not months or not np.ptp(differences) > 0:
        return math.nan, math.nan
    uncorrected = float(np.mean(differences)) / math.sqrt(float(np.var(differences)) / months)
    statistic = uncorrected * math.sqrt((months - 1) / months)
    return statistic, student_two_sided(abs(statistic), months - 1)
