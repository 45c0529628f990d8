"""How much of the best profit is lost by a stock that was learned, where the law of demand is known."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from ml.distribution import LEVELS, Prediction, pmf
from ml.features import category_totals
from ml.models.base import Model
from ml.models.blend import Blend
from ml.models.smoothing import MovingAverage
from tests.ml.known_processes import Floats, KnownPanel, negative_binomials

RATIOS = (0.5, 0.7, 0.9)
LAST = 36


def expected_sales(size: float, mean: float) -> Floats:
    """E min(D, s) for s = 0, 1, ...: the sum of P(D > x) below s."""
    law = stats.nbinom(size, size / (size + mean))
    over = law.sf(np.arange(int(law.ppf(1 - 1e-9)) + 2))
    return np.concatenate([[0.0], np.cumsum(over)])


def lost(panel: KnownPanel, levels: Floats) -> list[float]:
    """Share of the best expected profit that is lost at each of `RATIOS`, price 1, by stocks from (n, 8) quantiles."""
    earned, best = np.zeros(len(RATIOS)), np.zeros(len(RATIOS))
    for i in np.flatnonzero(~np.isnan(panel.history.units[:, LAST - 1])):
        sales = expected_sales(1 / panel.dispersion[i], panel.mean[i, LAST])
        stocks, below = np.arange(len(sales)), np.cumsum(pmf(levels[i]))
        for k, ratio in enumerate(RATIOS):
            profit = sales - (1 - ratio) * stocks
            earned[k] += profit[min(int(np.searchsorted(below, ratio - 1e-12)), len(sales) - 1)]
            best[k] += profit.max()
    return [float(share) for share in 1 - earned / best]


def forecast(panel: KnownPanel, candidate: type[Model]) -> Prediction:
    past = panel.history.until(LAST)
    return candidate.fit(past, 0).predict(past, category_totals(past))


def test_who_knows_the_law_loses_next_to_nothing_and_who_takes_a_mean_for_it_much() -> None:
    panel = negative_binomials(60, LAST + 1, seed=11)
    assert max(lost(panel, panel.quantiles(LAST, LEVELS))) < 0.01
    average = forecast(panel, MovingAverage).mean
    assert min(lost(panel, np.repeat(average[:, np.newaxis], len(LEVELS), axis=1))) > 0.04


@pytest.mark.soak
def test_a_learned_stock_loses_a_few_hundredths(record_property: Callable[[str, object], None]) -> None:
    """`docs/decisions.md` has the shares, which `--junitxml` keeps."""
    found = []
    for seed in (11, 12):
        panel = negative_binomials(400, LAST + 1, seed=seed)
        found.append(lost(panel, forecast(panel, Blend).levels))
    average = np.mean(found, axis=0)
    record_property("lost", average.round(4).tolist())
    assert average.max() < 0.03
    assert all(before > after for before, after in pairwise(average))
