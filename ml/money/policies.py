"""Ways to decide how much to have: ours, two rules of thumb, the textbook's, and perfect information."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.decisions.stock import newsvendor, newsvendor_normal
from ml.money.past_forecasts import PastForecasts

Floats = NDArray[np.float64]
Policy = Callable[[PastForecasts, float], Floats]

OURS: Final = "distribution"
PERFECT: Final = "perfect"

RISK_MULTIPLIERS: Final = (1.1, 1.2, 1.3)
"""Stock over the point forecast at Low, Medium and High risk, in the rule that multiplies by risk class."""
RISK_CUTS: Final = (0.5, 1.0)
"""Width of the 80 % interval over the mean that parts those classes."""

_WIDTH_OF_80_PERCENT = 2.5631031310892007
"""P90 less P10 of a standard normal."""


def distribution(past: PastForecasts, ratio: float) -> Floats:
    """The newsvendor's stock of each forecast distribution."""
    return np.array([newsvendor(demand, ratio, 1 - ratio)[0] for demand in past.demands], dtype=np.float64)


def point(past: PastForecasts, ratio: float) -> Floats:  # noqa: ARG001
    """The mean forecast, whatever a unit costs."""
    return np.round(past.mean)


def point_by_risk(past: PastForecasts, ratio: float) -> Floats:  # noqa: ARG001
    """The mean forecast times a multiplier by risk class, whatever a unit costs."""
    width = _quantiles(past, 0.9) - _quantiles(past, 0.1)
    risk = np.searchsorted(RISK_CUTS, width / np.maximum(past.mean, 1.0))
    stock: Floats = np.ceil(past.mean * np.array(RISK_MULTIPLIERS)[risk])
    return stock


def safety_stock(past: PastForecasts, ratio: float) -> Floats:
    """Mean plus z standard deviations of the last twelve periods; of the forecast where they are unknown."""
    known = np.isfinite(past.recent_mean) & np.isfinite(past.recent_deviation)
    spread = (_quantiles(past, 0.9) - _quantiles(past, 0.1)) / _WIDTH_OF_80_PERCENT
    mean = np.where(known, past.recent_mean, past.mean)
    deviation = np.where(known, past.recent_deviation, spread)
    z = newsvendor_normal(0.0, 1.0, ratio, 1 - ratio)[0]
    return np.maximum(np.round(mean + z * deviation), 0.0)


def perfect(past: PastForecasts, ratio: float) -> Floats:  # noqa: ARG001
    """What came."""
    return past.actual


POLICIES: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        OURS: distribution,
        "point": point,
        "point_by_risk": point_by_risk,
        "safety_stock": safety_stock,
        PERFECT: perfect,
    }
)


def _quantiles(past: PastForecasts, share: float) -> Floats:
    return np.array([demand.quantile(share) for demand in past.demands], dtype=np.float64)
