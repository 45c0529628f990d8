"""The backtest judges what a planner would have seen: months in order, nothing from later, the same rows for all."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ml import metrics
from ml.distribution import LEVELS, Prediction
from ml.errors import NotEnoughHistory
from ml.evaluation import SCORES, backtest, eligible
from ml.features import scale
from ml.gate import decide
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models import CANDIDATES
from ml.models.reference import BENCHMARK
from tests.ml.models.series import series
from tests.ml.small_history import small_shop

NAN = float("nan")
FAST = {name: CANDIDATES[name] for name in ("naive", "ma3", "ses", "tsb", "empirical")}


def test_the_last_months_are_judged_and_those_before_them_calibrate() -> None:
    result = backtest(small_shop(), FAST, seed=0)
    assert result.origins == (18, 19, 20, 21, 22, 23)
    assert result.hindcasts.first == 14


@pytest.mark.parametrize(
    ("months", "first", "origins"),
    [(3, 2, (2,)), (4, 2, (3,)), (6, 2, (4, 5)), (10, 2, (6, 7, 8, 9)), (12, 2, (6, 7, 8, 9, 10, 11))],
)
def test_a_short_history_has_fewer_origins(months: int, first: int, origins: tuple[int, ...]) -> None:
    result = backtest(small_shop().until(months), BENCHMARK if months == 3 else FAST, seed=0)
    assert result.origins == origins
    assert result.hindcasts.first == first
    losses = [row["pinball"] for row in result.table()]
    assert all(isinstance(loss, float) and np.isfinite(loss) for loss in losses)


@pytest.mark.parametrize("months", [0, 1, 2])
def test_fewer_than_three_months_are_refused(months: int) -> None:
    with pytest.raises(NotEnoughHistory, match=f"the panel has {months} full months, a backtest needs 3"):
        backtest(small_shop().until(months), FAST, seed=0)


def test_only_settled_products_that_still_sell_are_judged() -> None:
    year = [5.0] * 12
    shop = series(
        [1.0] * 14,
        [NAN] * 9 + [1.0] * 5,  # five months
        [NAN] * 8 + [1.0] * 6,
        [9.0, 9.0] + [0.0] * 12,  # nothing for a year
        [0.0, 9.0, 9.0] + [0.0] * 11,
        [0.0] * 13 + [4.0],  # a single sale
        [2.0, 0.0, *year],
    )
    assert eligible(shop).tolist() == [True, False, True, False, True, False, True]


def test_losses_are_scaled_pinball_of_the_months_that_count() -> None:
    shop = small_shop()
    result = backtest(shop, FAST, seed=0)
    losses = result.losses("ma3")
    assert losses.shape == (shop.n, 6)
    np.testing.assert_array_equal(np.isnan(losses), ~result.eligible)
    row, prediction = int(np.flatnonzero(result.eligible[:, 2])[0]), result.predictions["ma3"][2]
    actual, divisor = shop.units[row, 20], scale(shop.until(20))[row]
    by_hand = [
        2 * (share * (actual - q) if actual >= q else (1 - share) * (q - actual)) / divisor
        for share, q in zip(LEVELS, prediction.levels[row], strict=True)
    ]
    assert losses[row, 2] == pytest.approx(sum(by_hand) / 8)


def test_a_served_predictor_is_judged_on_the_same_rows() -> None:
    result = backtest(small_shop(), FAST, seed=0)

    def served(history: History, categories: object) -> Prediction:
        return result.predictions["ses"][history.T - 18]

    np.testing.assert_array_equal(result.losses_of(served), result.losses("ses"))


def test_the_table_has_a_row_per_candidate_in_shares_and_units() -> None:
    result = backtest(small_shop(), FAST, seed=0)
    table = {row["candidate"]: row for row in result.table()}
    assert list(table) == list(FAST)
    use = result.eligible
    actual = small_shop().units[:, 18:][use]
    mean = np.stack([p.mean for p in result.predictions["naive"]], axis=1)[use]
    naive = table["naive"]
    assert naive["wape"] == pytest.approx(metrics.wape(actual, mean))
    assert naive["observations"] == int(use.sum())
    assert (naive["family"], naive["promotable"]) == ("baseline", True)
    assert naive["pinball"] == pytest.approx(np.nanmean(result.losses("naive")))
    assert set(SCORES) < set(naive)


def test_a_shop_that_sold_nothing_lately_has_scores_without_ratios() -> None:
    shop = small_shop()
    units = shop.units.copy()
    units[:, 18:] = np.where(np.isnan(units[:, 18:]), NAN, 0.0)
    rows = backtest(replace(shop, units=units), FAST, seed=0).table()
    assert all(row["wape"] is None and row["bias"] is None and row["mae"] is not None for row in rows)


def test_nothing_eligible_is_nothing_scored() -> None:
    shop = small_shop(products=4)
    silent = replace(shop, units=np.zeros(shop.units.shape))
    rows = backtest(silent, FAST, seed=0).table()
    assert all(row["observations"] == 0 and all(row[name] is None for name in SCORES) for row in rows)


def test_one_product_is_enough_for_every_candidate() -> None:
    result = backtest(small_shop(products=2).rows(np.array([1])), BENCHMARK, seed=0)
    losses = [row["pinball"] for row in result.table()]
    assert all(isinstance(loss, float) and np.isfinite(loss) for loss in losses)


def test_progress_counts_every_fit_once() -> None:
    seen: list[tuple[int, int, str]] = []
    backtest(small_shop(products=5), FAST, seed=0, progress=lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == list(range(1, 51))
    assert {total for _, total, _ in seen} == {50}
    assert {label for _, _, label in seen} == set(FAST)


def test_what_a_test_month_brought_changes_no_forecast_of_it() -> None:
    shop = small_shop()
    units = shop.units.copy()
    units[:, 23] = units[:, 23] * 7 + 3
    ours, theirs = (backtest(h, FAST, seed=0) for h in (shop, replace(shop, units=units)))
    for name in FAST:
        assert ours.predictions[name][5].levels.tobytes() == theirs.predictions[name][5].levels.tobytes()
    assert ours.calibrations["ma3"].shifts.tobytes() != theirs.calibrations["ma3"].shifts.tobytes()


def test_the_final_calibration_learns_from_all_months_of_a_small_shop() -> None:
    result = backtest(small_shop(), {"ses": CANDIDATES["ses"]}, seed=0)
    calibration = type(result.calibrations["ses"])
    alone = calibration.fit(
        "residuals", Hindcasts(small_shop(), seed=0, first=14).before(CANDIDATES["ses"], 24)
    )
    assert alone.shifts.tobytes() == result.calibrations["ses"].shifts.tobytes()


def oracle_shop() -> tuple[History, NDArray[np.float64]]:
    """Negative binomial demand with a known seasonal mean, and the true quantiles (months, products, 8)."""
    rng = np.random.default_rng(8)
    products, months, size = 100, 30, 6.0
    season = 1 + 0.5 * np.sin(2 * np.pi * np.arange(months) / 12)
    mean = np.exp(rng.uniform(np.log(3), np.log(200), (products, 1))) * season
    shop = small_shop(products, months)
    units = rng.negative_binomial(size, size / (size + mean)).astype(float)
    draws = rng.negative_binomial(size, size / (size + mean[..., np.newaxis]), (products, months, 400))
    return replace(shop, units=units, extra={}), np.quantile(draws, LEVELS, axis=2).transpose(2, 1, 0)


def test_on_a_known_process_the_models_come_close_to_the_truth() -> None:
    shop, quantiles = oracle_shop()
    chosen = {name: CANDIDATES[name] for name in ("ma3", "mix")}
    result = backtest(shop, chosen, seed=0, test_origins=3, calibration_origins=2)
    truth = result.losses_of(lambda past, _: Prediction(np.zeros(past.n), quantiles[past.T]))
    scores = {name: float(np.nanmean(result.losses(name)) / np.nanmean(truth)) for name in chosen}
    assert scores["mix"] < 1.12
    assert scores["ma3"] > 1.3
    use = result.eligible
    rows, months = np.nonzero(use)
    assert decide(result.losses("mix")[use], result.losses("ma3")[use], rows, months, seed=0).ratio < 0.9


def test_accuracy_on_the_seeded_shop_is_pinned() -> None:
    result = backtest(small_shop(products=60), {"mix": CANDIDATES["mix"]}, seed=0, test_origins=2)
    row = result.table()[0]
    assert row["pinball"] == pytest.approx(0.454, abs=0.02)
    assert row["wape"] == pytest.approx(0.453, abs=0.02)
