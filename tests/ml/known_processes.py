"""Panels whose true distribution is known; nothing here comes from `ml` but the container."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from ml.history import History

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnownPanel:
    """Units drawn from negative binomials.

    Attributes:
        history: What a forecaster sees.
        mean: (n, T) expected units.
        dispersion: (n,) d in Var = m + d m^2.
    """

    history: History
    mean: Floats
    dispersion: Floats

    def quantiles(self, t: int, levels: Any) -> Floats:
        """(n, levels) of the true distribution of period index `t`."""
        size = 1.0 / self.dispersion
        columns = [stats.nbinom.ppf(q, size, size / (size + self.mean[:, t])) for q in levels]
        return np.stack(columns, axis=1)

    def frame(self) -> pl.DataFrame:
        """One row per series and period, as `ml backtest --panel` reads it."""
        history = self.history
        return pl.DataFrame(
            {
                "series_id": np.repeat(np.array(history.product_ids), history.T),
                "period": np.tile(history.months.astype("datetime64[D]"), history.n),
                "quantity": history.units.reshape(-1),
                "category": np.repeat(np.array(history.categories), history.T),
            }
        )


def negative_binomials(
    products: int = 1000, months: int = 36, *, seed: int = 0, season: bool = True
) -> KnownPanel:
    """Levels of 2 to 200 units, dispersions of 0.05 to 0.5, and for each of 8 categories a season and a trend.

    Trends are up to 2 % a month. Were they of each product's own, the best estimate from 36 months would already
    lose 5 % to the true distribution.
    """
    random = np.random.default_rng(seed)
    category = random.integers(0, 8, products)
    level = np.exp(random.uniform(np.log(2.0), np.log(200.0), products))
    trend = random.uniform(-0.02, 0.02, 8)[category]
    swing, peak = random.uniform(0.1, 0.5, 8)[category], random.uniform(0.0, 12.0, 8)[category]
    time = np.arange(months)
    wave = np.cos(2 * np.pi * (time - peak[:, np.newaxis]) / 12) if season else np.zeros((products, months))
    mean = level[:, np.newaxis] * np.exp(
        trend[:, np.newaxis] * (time - months / 2) + swing[:, np.newaxis] * wave
    )
    dispersion = random.uniform(0.05, 0.5, products)
    size = 1.0 / dispersion[:, np.newaxis]
    units = random.negative_binomial(size, size / (size + mean)).astype(np.float64)
    history = History(
        product_ids=tuple(f"P{i:04d}" for i in range(products)),
        categories=tuple(f"C{k}" for k in category),
        months=np.arange(np.datetime64("2023-01", "M"), np.datetime64("2023-01", "M") + months),
        units=np.where(np.maximum.accumulate(units, axis=1) > 0, units, np.nan),
        price_cents=np.full(units.shape, np.nan),
    )
    return KnownPanel(history, mean, dispersion)
