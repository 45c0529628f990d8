"""Joint demand paths: several months and several products drawn together, never quantiles scaled or added."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.decisions.demand import Demand
from ml.dependence import Dependence

Floats = NDArray[np.float64]

DRAWS: Final = 1_000
DRAWS_OF_A_TOTAL: Final = 4_096

_NORMAL: Final = NormalDist()


def normal_score(demand: Demand, actual: float, uniform: float) -> float:
    """What came, as a standard normal value: a randomised quantile residual (Dunn and Smyth 1996).

    Args:
        demand: Forecast.
        actual: Units that came.
        uniform: A draw from 0 to 1 that parts the mass of a discrete outcome.
    """
    reached = np.concatenate(([0.0], demand.reached))
    point = min(int(actual // demand.step), len(demand.reached) - 1)
    share = reached[point] + uniform * (reached[point + 1] - reached[point])
    return _NORMAL.inv_cdf(float(np.clip(share, 1e-6, 1 - 1e-6)))


def draw_each(
    demands: Sequence[Demand],
    categories: Sequence[str],
    dependence: Dependence,
    *,
    months: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> Iterator[Floats]:
    """For one product after the other: (draws,) units of all months together, drawn jointly with the others.

    Every product takes its own quantiles at (k - 1/2) / draws in the order of its normal scores (Iman and
    Conover 1982), so its distribution in one month is exact up to 1 / draws whatever the dependence.

    Args:
        demands: Of one month, one per product.
        categories: One per product.
        dependence: Between products and months.
        months: That are added up.
        draws: Number of joint outcomes.
        seed: Same seed, same draws.
    """
    random = np.random.default_rng(seed)
    levels = (np.arange(draws) + 0.5) / draws

    def factor(share: float) -> Floats:
        """(months, draws) normal with this variance, correlated over months."""
        values: Floats = random.standard_normal((months, draws)) * np.sqrt(share * (1.0 - dependence.months))
        if dependence.months > 0:
            values += random.standard_normal(draws) * np.sqrt(share * dependence.months)
        return values

    shop = factor(dependence.shop)
    by_category = {name: factor(dependence.category) for name in dict.fromkeys(categories)}
    own = 1.0 - dependence.shop - dependence.category
    for demand, category in zip(demands, categories, strict=True):
        point = np.minimum(np.searchsorted(demand.reached, levels), len(demand.reached) - 1)
        units = point.astype(np.float64) * demand.step
        total = np.zeros(draws)
        for score in shop + by_category[category] + factor(own):
            total[np.argsort(score)] += units
        yield total


def over(demand: Demand, months: int, correlation: float) -> Demand:
    """Demand of several months that are alike: by convolution, or by joint paths where errors stay.

    A forecast that is too high this month is likely too high next month, so the sum is wider than that of
    independent months, and still narrower than one month's quantiles times their number.
    """
    if correlation == 0 or months == 1:
        return demand.over(months)
    dependence = Dependence(months=correlation)
    (totals,) = draw_each([demand], [""], dependence, months=months, draws=DRAWS_OF_A_TOTAL)
    return Demand(np.bincount((totals / demand.step).astype(np.intp)).astype(np.float64), demand.step)
