"""A trial holds what was said and what came, and scores it as the textbook does."""

from dataclasses import replace

import numpy as np
import pytest

from ml.distribution import LEVELS
from ml.evaluation import Backtest, backtest
from ml.models import CANDIDATES
from ml.trial import Trial, cost
from tests.ml.small_history import small_shop


@pytest.fixture(scope="module")
def tested() -> Backtest:
    return backtest(small_shop(), {name: CANDIDATES[name] for name in ("naive", "ses")}, seed=0)


def test_losses_are_those_of_the_backtest(tested: Backtest) -> None:
    trial = Trial.of(tested, "ses", [1, 4])
    assert trial.levels == LEVELS
    assert trial.counted.tolist() == tested.eligible[:, [1, 4]].tolist()
    expected = np.nan_to_num(tested.losses("ses")[:, [1, 4]])
    np.testing.assert_allclose(trial.losses, expected, rtol=1e-12)
    assert trial.losses[~trial.counted].tolist() == [0.0] * int((~trial.counted).sum())


def test_where_nearly_nothing_sells_only_the_upper_levels_count(tested: Backtest) -> None:
    """Six of seven are zeros; one forecast of 3 at all levels, sold 5 and scale 2, loses 2 (.75 2) / 2 at .75."""
    trial = Trial.of(tested, "ses", [0])
    rows = np.flatnonzero(trial.counted)[:7]
    counted = np.zeros_like(trial.counted)
    counted[rows] = True
    actual = np.zeros(trial.actual.shape)
    actual[rows[0]] = 5.0
    sparse = replace(
        trial,
        counted=counted,
        actual=actual,
        quantiles=np.full(trial.quantiles.shape, 3.0),
        scale=np.full(trial.scale.shape, 2.0),
    )
    assert sparse.levels == (0.75, 0.9, 0.95, 0.99)
    assert sparse.losses[rows[0], 0] == pytest.approx(2 * 2 * (0.75 + 0.9 + 0.95 + 0.99) / 4 / 2)
    denser = replace(
        sparse, actual=np.where(counted & (np.arange(len(actual)) <= rows[1])[:, None], 5.0, 0.0)
    )
    assert denser.levels == LEVELS


@pytest.mark.parametrize(
    ("value", "fault"),
    [(np.nan, "missing or not finite"), (np.inf, "missing or not finite"), (-0.5, "negative")],
)
def test_faults_are_counted_over_all_products_on_sale(tested: Backtest, value: float, fault: str) -> None:
    assert set(Trial.of(tested, "ses", [0]).faults.values()) == {0}
    predictions = list(tested.predictions["ses"])
    quantiles = predictions[0].levels.copy()
    on_sale = np.flatnonzero(~np.isnan(tested.history.units[:, tested.origins[0] - 1]))
    unjudged = [i for i in on_sale if not tested.eligible[i, 0]]
    quantiles[unjudged[0], 0] = value
    predictions[0] = replace(predictions[0], quantiles=quantiles)
    broken = replace(tested, predictions={"ses": predictions})
    assert Trial.of(broken, "ses", [0]).faults[fault] == 1
    assert Trial.of(broken, "ses", [1]).faults[fault] == 0


def test_crossing_quantiles_are_counted(tested: Backtest) -> None:
    predictions = list(tested.predictions["ses"])
    predictions[0] = replace(predictions[0], quantiles=predictions[0].levels[:, ::-1])
    crossed = Trial.of(replace(tested, predictions={"ses": predictions}), "ses", [0]).faults["crossing"]
    assert crossed > 10


def test_the_ranked_score_is_the_mean_of_scaled_scores(tested: Backtest) -> None:
    """A sure forecast of 4 where 6 sell is wrong at 4 and at 5; where 4 sell it has no loss."""
    trial = Trial.of(tested, "ses", [0])
    rows = np.flatnonzero(trial.counted)[:2]
    use = np.zeros_like(trial.counted)
    use[rows] = True
    actual = np.zeros(trial.actual.shape)
    actual[rows, 0] = [6.0, 4.0]
    sure = replace(
        trial,
        actual=actual,
        quantiles=np.full(trial.quantiles.shape, 4.0),
        scale=np.full(trial.scale.shape, 2.0),
    )
    assert sure.ranked_probability_score(use) == pytest.approx((2 / 2 + 0) / 2)
    assert np.isnan(sure.ranked_probability_score(np.zeros_like(use)))


def test_a_cost_is_measured(tested: Backtest) -> None:
    spent = cost(tested, "ses")
    assert spent.fit_seconds == tested.hindcasts.seconds["ses"]
    assert 1e7 < spent.memory_bytes < 1e11
    assert 0 < spent.score_p95_seconds < 1
