"""The second opinions on a verdict, recounted."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ml.evaluation import Backtest, backtest
from ml.models import CANDIDATES
from ml.trial import Cost, Trial
from ml.witnesses import Witnesses, witnesses_of
from tests.ml.small_history import small_shop

COSTS = (Cost(1.0, 2.0, 3.0), Cost(4.0, 5.0, 6.0))
COLUMNS = (1, 3, 5)


@pytest.fixture(scope="module")
def tested() -> Backtest:
    return backtest(small_shop(), {name: CANDIDATES[name] for name in ("naive", "ses")}, seed=0)


def told(tested: Backtest) -> Witnesses:
    origins = [tested.origins[k] for k in COLUMNS]
    ours, theirs = (Trial.of(tested, name, COLUMNS) for name in ("ses", "naive"))
    return witnesses_of(tested, origins, ours, theirs, COSTS)


def test_months_levels_and_costs_are_handed_on(tested: Backtest) -> None:
    found = told(tested)
    assert found.months == ("2025-08", "2025-10", "2025-12")
    assert found.levels == (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    assert found.costs == COSTS


def test_the_monthly_differences_are_tested_as_a_sample(tested: Backtest) -> None:
    ours, theirs = tested.losses("ses"), tested.losses("naive")
    differences = [np.nanmean(ours[:, k]) - np.nanmean(theirs[:, k]) for k in COLUMNS]
    expected = stats.ttest_1samp(differences, 0.0)
    found = told(tested)
    assert (found.diebold_mariano, found.diebold_mariano_p) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )


def test_weights_are_revenue_and_none_is_above_one_percent(tested: Backtest) -> None:
    """One product earns most of the shop: it counts as much as one percent of all."""
    history = tested.history
    price = history.price_cents.copy()
    price[7] *= 10_000
    rich = replace(tested, history=replace(history, price_cents=price))
    sums: dict[str, float] = defaultdict(float)
    for k in COLUMNS:
        t = rich.origins[k]
        earned = {}
        for i in np.flatnonzero(rich.eligible[:, k]):
            known = price[i, t - 12 : t][~np.isnan(price[i, t - 12 : t])]
            earned[i] = np.nansum(history.units[i, t - 12 : t]) * (known.mean() if len(known) else 0.0)
        cap = 0.01 * sum(earned.values())
        assert max(earned.values()) > cap
        for name in ("ses", "naive"):
            losses = tested.losses(name)
            sums[name] += sum(min(value, cap) * losses[i, k] for i, value in earned.items())
    assert told(rich).weighted_ratio == pytest.approx(sums["ses"] / sums["naive"])


def test_ranked_scores_are_of_small_numbers_only(tested: Backtest) -> None:
    found = told(tested)
    assert all(0 < score < 5 for score in found.ranked_probability)
    large = replace(tested, history=replace(tested.history, units=tested.history.units + 200))
    assert np.isnan(told(large).ranked_probability).all()


def test_without_sales_nothing_is_weighted(tested: Backtest) -> None:
    units = tested.history.units.copy()
    units[:, : tested.origins[-1]] *= 0.0
    nothing = replace(tested, history=replace(tested.history, units=units))
    assert np.isnan(told(nothing).weighted_ratio)
