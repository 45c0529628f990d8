"""Candidate models by name: a new one is a class and a line here."""

from typing import Final

from ml.models.adjusted import AdjustedDiscountedMean
from ml.models.base import Servable
from ml.models.blend import Blend
from ml.models.boosting import QuantileTrees, TweedieTrees
from ml.models.damped import DampedTrend
from ml.models.empirical import Empirical
from ml.models.fitted_theta import FittedTheta
from ml.models.histogram import HistogramTrees
from ml.models.intermittent import TeunterSyntetosBabai
from ml.models.mix import Mix
from ml.models.smoothing import ExponentialSmoothing, MovingAverage, Naive, SeasonalNaive
from ml.models.theta import Theta

RECIPE: Final = "blend"
"""The candidate to use where nothing was measured yet; it contains or outweighs the others."""

CANDIDATES: Final[dict[str, type[Servable]]] = {
    "naive": Naive,
    "seasonal_naive": SeasonalNaive,
    "ma3": MovingAverage,
    "ses": ExponentialSmoothing,
    "damped_trend": DampedTrend,
    "theta": Theta,
    "theta_fitted": FittedTheta,
    "adjusted_discounted_mean": AdjustedDiscountedMean,
    "tsb": TeunterSyntetosBabai,
    "empirical": Empirical,
    "lightgbm_quantile": QuantileTrees,
    "lightgbm_tweedie": TweedieTrees,
    "histogram_poisson": HistogramTrees,
    "mix": Mix,
    "blend": Blend,
}
