"""Losses expected by own quantiles: those of the distribution, and near what comes where the quantiles are right."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import nbinom

from ml.distribution import LEVELS
from ml.drift.expected_loss import expected_losses, open_month_losses
from ml.errors import SnapshotNotFound
from ml.evaluation import backtest
from ml.features import scale
from ml.forecast_table import month_errors, publish
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.models import CANDIDATES
from ml.panel_file import read_panel
from tests.ml.small_history import small_shop
from tests.ml.small_models import small_bundle

NOW = datetime(2026, 1, 5, tzinfo=UTC)
DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
FOUND = [name for name in ("carparts", "auto_parts") if (DATA / name / "monthly.parquet").exists()]


def pinball(outcomes: np.ndarray, quantiles: np.ndarray) -> float:
    """Twice the loss, the mean over levels and outcomes; written out."""
    losses = [
        2 * np.mean(np.where(outcomes >= q, level * (outcomes - q), (1 - level) * (q - outcomes)))
        for level, q in zip(LEVELS, quantiles, strict=True)
    ]
    return float(np.mean(losses))


def test_the_expected_loss_is_that_of_the_distribution() -> None:
    """Negative binomial demand with known quantiles; the exact expectation by its mass function."""
    means, size = np.array([4.0, 30.0, 200.0]), 4.0
    support = np.arange(3_000)
    quantiles = np.array([nbinom.ppf(LEVELS, size, size / (size + mean)) for mean in means])
    found = expected_losses(quantiles.astype(np.float64), np.ones(3))
    exact = [
        sum(
            2 * np.sum(mass * np.where(support >= q, level * (support - q), (1 - level) * (q - support)))
            for level, q in zip(LEVELS, row, strict=True)
        )
        / len(LEVELS)
        for mean, row in zip(means, quantiles, strict=True)
        for mass in (nbinom.pmf(support, size, size / (size + mean)),)
    ]
    absolute = [
        np.sum(nbinom.pmf(support, size, size / (size + mean)) * np.abs(support - mean)) for mean in means
    ]
    assert found.pinball == pytest.approx(np.mean(exact), rel=0.05)
    assert found.wape == pytest.approx(sum(absolute) / means.sum(), rel=0.05)


def test_it_follows_what_comes_where_quantiles_are_right_and_not_where_they_are_wrong() -> None:
    rng = np.random.default_rng(3)
    means, size = rng.uniform(5, 80, 400), 4.0
    quantiles = np.array([nbinom.ppf(LEVELS, size, size / (size + mean)) for mean in means])
    outcomes = rng.negative_binomial(size, size / (size + means))
    expected = expected_losses(quantiles.astype(np.float64), np.ones(400)).pinball
    came = np.mean([pinball(np.array([y]), row) for y, row in zip(outcomes, quantiles, strict=True)])
    wrong = np.mean([pinball(np.array([2.0 * y]), row) for y, row in zip(outcomes, quantiles, strict=True)])
    assert expected == pytest.approx(came, rel=0.1)
    assert wrong > 1.5 * came


def test_nothing_forecast_is_nothing_expected(tmp_path: Path) -> None:
    assert expected_losses(np.empty((0, 8)), np.empty(0)).pinball is None
    only_wape = expected_losses(np.full((1, 8), 3.0), np.array([np.nan]))
    assert only_wape.pinball is None
    assert only_wape.wape == pytest.approx(0.0)
    with pytest.raises(SnapshotNotFound):
        open_month_losses(Lake(tmp_path), small_shop())


def test_the_open_month_has_an_estimate_with_an_interval_from_the_months_that_are_over(
    tmp_path: Path,
) -> None:
    shop = small_shop(seed=5)
    bundle, lake, store = small_bundle(shop, "ses"), Lake(tmp_path / "lake"), ModelStore(tmp_path / "store")
    for months in range(shop.T - 4, shop.T + 1):
        publish(lake, store, bundle, shop.until(months), model_version=3, now=NOW + timedelta(hours=months))
    (found,) = open_month_losses(lake, shop)
    assert (found.estimate, found.month, found.model_version) == (True, str(shop.next_month), 3)
    assert found.checked_months == len(month_errors(lake, shop)) == 4
    assert found.pinball is not None
    assert found.low is not None
    assert found.high is not None
    assert found.usual_ratio is not None
    assert found.low < found.pinball * found.usual_ratio < found.high
    (young,) = open_month_losses(lake, shop.until(shop.T - 2))
    assert (young.checked_months, young.low) == (2, None)


if FOUND:

    @pytest.mark.shared_data
    @pytest.mark.parametrize("name", FOUND)
    def test_on_real_sets_the_estimate_is_close_to_what_came(name: str) -> None:
        """A sample of the set and its backtested months: the mean over them, not each."""
        history = read_panel(DATA / name / "monthly.parquet").history
        history = history.rows(np.arange(0, history.n, max(1, history.n // 150)))
        tested = backtest(history, {"ses": CANDIDATES["ses"]}, seed=7)
        expected, came = [], []
        for k, t in enumerate(tested.origins):
            use, scales = tested.eligible[:, k], scale(history.until(t))
            found = expected_losses(tested.predictions["ses"][k].levels[use], scales[use]).pinball
            if found is not None:
                expected.append(found)
                came.append(float(np.nanmean(tested.losses("ses")[:, k])))
        assert np.mean(expected) == pytest.approx(np.mean(came), rel=0.2)
