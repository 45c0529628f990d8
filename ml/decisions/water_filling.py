"""One budget over concave returns: the same marginal return everywhere inside the bounds."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImpossibleEconomics

Floats = NDArray[np.float64]
Slope = Callable[[Floats], Floats]

HALVINGS: Final = 60


def optimum(slope: Slope, low: Floats, high: Floats, price: float = 0.0) -> Floats:
    """(n,) the largest x in [low, high] with slope(x) above `price`, by bisection; `low` where there is none.

    Args:
        slope: (n,) marginal return at (n,) spends; non-increasing in each.
        low: (n,) least spends.
        high: (n,) largest spends.
        price: What a unit of spend must return.
    """
    below, above = low, high
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        pays = slope(middle) > price
        below, above = np.where(pays, middle, below), np.where(pays, above, middle)
    # A bisection only comes near an end; where the end itself pays, it is the answer.
    return np.where(slope(high) > price, high, np.where(slope(low) > price, below, low))


def water_fill(slope: Slope, low: Floats, high: Floats, budget: float) -> tuple[Floats, float]:
    """The spends with the largest total return within a budget, and the marginal return they share.

    Karush-Kuhn-Tucker: inside the bounds slope_i(x_i) = multiplier for all i (Boyd and Vandenberghe 2004,
    example 5.2). Spends never return less than nothing: the budget is not used up where slopes reach 0.

    Args:
        slope: (n,) marginal return, net of the spend itself, at (n,) spends; non-increasing in each.
        low: (n,) least spends, above 0.
        high: (n,) largest spends.
        budget: For the sum.

    Raises:
        ImpossibleEconomics: The least spends are above the budget.
    """
    if low.sum() > budget * (1 + 1e-12):
        raise ImpossibleEconomics(
            f"the least spends add up to {low.sum():.0f} cents, above the budget of {budget:.0f}; "
            "allow larger steps or raise the budget"
        )
    free = optimum(slope, low, high)
    if free.sum() <= budget:
        return free, 0.0
    cheap, dear = 0.0, float(slope(low).max())
    for _ in range(HALVINGS):
        middle = (cheap + dear) / 2
        if optimum(slope, low, high, middle).sum() > budget:
            cheap = middle
        else:
            dear = middle
    # Where a slope is flat, spends jump at the multiplier; any point between both is optimal.
    most, least = optimum(slope, low, high, cheap), optimum(slope, low, high, dear)
    gap = float(most.sum() - least.sum())
    share = min(max((budget - float(least.sum())) / gap, 0.0), 1.0) if gap > 0 else 0.0
    return least + share * (most - least), dear
