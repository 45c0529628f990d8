"""What a product would have sold in the part of a month that was not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def unseen_units(units: Floats, seen: Floats, usual: Floats, weight: float | Floats) -> Floats:
    """Expected units of the rest of a month of which a share was seen.

    Units come at a rate that differs from month to month as a gamma variable, and as a Poisson process within a
    month. The rate given the units seen is gamma again, with the mean (units + weight usual) / (seen + weight)
    (Gelman et al. 2013, Bayesian Data Analysis, section 2.6). The reason that the rest was not seen may depend
    on the units seen, as with a shelf that ran empty: the likelihood is the same.

    Args:
        units: Units in the part that was seen, >= 0.
        seen: Its share of the month's expected units, 0 to 1.
        usual: Mean units of a whole month, >= 0.
        weight: Of `usual`, in months seen, > 0: 1 / (d usual) where months vary by Var = m + d m^2.
    """
    rest: Floats = (1.0 - seen) * (units + weight * usual) / (seen + weight)
    return rest
