"""Replayed money: hand-worked profits, a world where the right answer is known, files that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import nbinom

from ml.errors import NoDemand
from ml.evaluation import backtest
from ml.models import CANDIDATES
from ml.money.past_forecasts import QUANTILES, BadForecasts, PastForecasts
from ml.money.picture import money_png
from ml.money.policies import OURS, POLICIES
from ml.money.replay import replay
from tests.ml.small_history import small_shop

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def world(products: int = 150, periods: int = 6, seed: int = 1) -> pl.DataFrame:
    """Negative binomial demand with known quantiles; recent statistics from twelve own draws."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(products):
        size, mean = float(random.uniform(0.4, 3)), float(random.lognormal(2, 1.2))
        law = nbinom(size, size / (size + mean))
        for period in range(periods):
            recent = law.rvs(12, random_state=random)
            rows.append(
                {
                    "series_id": f"P{i}",
                    "period": f"2026-{period + 1:02d}",
                    "actual": int(law.rvs(random_state=random)),
                    "mean": mean,
                    "recent_mean": recent.mean(),
                    "recent_deviation": recent.std(ddof=1),
                    "demand_class": "lumpy" if size < 1 else "smooth",
                    "category": "c",
                    "price": float(10 + i % 7),
                    **dict(zip(QUANTILES, law.ppf(LEVELS).tolist(), strict=True)),
                }
            )
    return pl.DataFrame(rows)


def past(frame: pl.DataFrame, folder: Path) -> PastForecasts:
    frame.write_parquet(folder / "forecasts.parquet")
    return PastForecasts.read(folder / "forecasts.parquet")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return replay(past(world(), tmp_path_factory.mktemp("money")), seed=1)


def margin(report: dict[str, Any], ratio: float) -> dict[str, Any]:
    (found,) = [entry for entry in report["margins"] if entry["ratio"] == ratio]
    return dict(found)


def test_two_rows_are_worked_by_hand(tmp_path: Path) -> None:
    """Mass half on 2, half on 6; 3 and 7 came. At 0.9 ours has 6, at 0.5 it has 2; the mean is 4."""
    mass = [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.5]
    frame = pl.DataFrame(
        {"series_id": ["a", "b"], "period": ["1", "1"], "actual": [3, 7], "pmf": [mass, mass]}
    )
    told = replay(past(frame, tmp_path), seed=1, ratios=(0.5, 0.9))
    high, low = margin(told, 0.9)["policies"], margin(told, 0.5)["policies"]
    assert high[OURS]["share_of_perfect"] == pytest.approx((0.9 * (3 + 6) - 0.1 * 3) / 9.0, abs=1e-4)
    assert low[OURS]["share_of_perfect"] == pytest.approx((0.5 * (2 + 2)) / 5.0)
    assert low["point"]["share_of_perfect"] == pytest.approx((0.5 * (3 + 4) - 0.5 * 1) / 5.0)
    assert high["point"]["fill_rate"] == pytest.approx(7 / 10)
    assert high["point"]["left_over_share"] == pytest.approx(1 / 10)
    assert high["perfect"]["share_of_perfect"] == 1.0
    assert high[OURS]["share_of_perfect_money"] is None
    assert told["risk"] is None


def test_the_multiplier_rule_follows_the_width_of_the_forecast(tmp_path: Path) -> None:
    row = {"series_id": ["a", "b", "c"], "period": ["1"] * 3, "actual": [1] * 3, "mean": [100.0] * 3}
    spread = {"a": 10.0, "b": 35.0, "c": 90.0}
    levels = {
        name: [100 + spread[key] * (level - 0.5) * 2 for key in "abc"]
        for name, level in zip(QUANTILES, LEVELS, strict=True)
    }
    stocks = POLICIES["point_by_risk"](past(pl.DataFrame(row | levels), tmp_path), 0.5)
    assert stocks.tolist() == [pytest.approx(stock, abs=1) for stock in (110, 120, 130)]


def test_the_safety_stock_is_the_textbooks(tmp_path: Path) -> None:
    frame = world(3, 1).with_columns(recent_mean=pl.Series([10.0, 20.0, None]), recent_deviation=pl.lit(5.0))
    read = past(frame, tmp_path)
    stocks = POLICIES["safety_stock"](read, 0.9)
    assert stocks[:2].tolist() == [round(10 + 1.2816 * 5), round(20 + 1.2816 * 5)]
    assert np.isfinite(stocks[2])
    assert stocks[2] > read.mean[2]


def test_where_the_forecast_is_the_truth_no_rule_earns_more(report: dict[str, Any]) -> None:
    assert report["ours_is_best"]
    for entry in report["margins"]:
        for name in ("point", "point_by_risk", "safety_stock"):
            assert entry["gain_over"][name]["low"] <= entry["gain_over"][name]["mean"]
            assert entry["gain_over"][name]["mean"] <= entry["gain_over"][name]["high"]
    assert margin(report, 0.9)["gain_over"]["point"]["low"] > 0


def test_a_forecast_that_is_wrong_does_not_win(tmp_path: Path) -> None:
    """The control: quantiles of a tenth of the demand, the mean left as it is."""
    wrong = world().with_columns(pl.col(QUANTILES) * 0.1)
    assert not replay(past(wrong, tmp_path), seed=1)["ours_is_best"]


def test_risk_classes_of_earlier_periods_order_the_cost_of_later_ones(report: dict[str, Any]) -> None:
    assert report["risk"]["strictly_rising"]
    assert set(report["risk"]["classes"]) == {"Low", "Medium", "High"}


def test_errors_of_independent_products_are_reported_as_such(report: dict[str, Any]) -> None:
    assert max(report["dependence"].values()) < 0.05


def test_errors_that_stay_are_found(tmp_path: Path) -> None:
    """Demand of a product is its quantile at one level in all periods."""
    frame = world()
    column = {f"P{i}": QUANTILES[i % 8] for i in range(150)}
    actual = [row[column[row["series_id"]]] for row in frame.to_dicts()]
    told = replay(past(frame.with_columns(actual=pl.Series(actual)), tmp_path), seed=1)
    assert told["dependence"]["months"] > 0.5


def test_it_is_by_class_and_the_same_each_time(report: dict[str, Any], tmp_path: Path) -> None:
    classes = report["margins"][0]["classes"]
    assert sum(entry["rows"] for entry in classes.values()) == report["rows"] == 900
    assert replay(past(world(), tmp_path), seed=1) == report


def test_prices_weigh_the_money(tmp_path: Path) -> None:
    frame = world().with_columns(
        price=pl.when(pl.col("demand_class") == "smooth").then(1000.0).otherwise(0.01)
    )
    entry = margin(replay(past(frame, tmp_path), seed=1), 0.9)
    smooth = entry["classes"]["smooth"][OURS]
    assert entry["policies"][OURS]["share_of_perfect_money"] == pytest.approx(smooth, abs=1e-3)
    assert entry["policies"][OURS]["share_of_perfect"] != pytest.approx(smooth, abs=1e-3)


def test_a_backtest_in_memory_is_read_like_its_file(tmp_path: Path) -> None:
    tested = backtest(small_shop(), {"naive": CANDIDATES["naive"]}, seed=1)
    found = PastForecasts.of_backtest(tested, "naive")
    assert len(found.actual) == int(tested.eligible.sum())
    t, k = tested.origins[-1], len(tested.origins) - 1
    i = int(np.flatnonzero(tested.eligible[:, k])[0])
    row = np.flatnonzero(
        (found.series == tested.history.product_ids[i]) & (found.period == str(tested.history.months[t]))
    )
    assert found.actual[row].tolist() == [tested.history.units[i, t]]
    assert found.recent_mean[row] == pytest.approx(np.nanmean(tested.history.units[i, max(0, t - 12) : t]))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda frame: frame.drop("q90"), "'q90' is missing"),
        (lambda frame: frame.drop("actual"), "'actual' is missing"),
        (lambda frame: pl.concat([frame, frame[:1]]), "same series_id and period"),
        (lambda frame: frame.with_columns(actual=pl.lit(-1)), "actual has a value"),
        (lambda frame: frame.with_columns(q50=pl.lit(None, pl.Float64)), "q50 has a value"),
        (lambda frame: frame[:0], "no forecast"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused(spoil: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadForecasts, match=told):
        past(spoil(world(4, 2)), tmp_path)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no table")
    for path in (tmp_path / "x.parquet", tmp_path / "missing.csv"):
        with pytest.raises(BadForecasts, match="cannot be read"):
            PastForecasts.read(path)


def test_nothing_sold_is_nothing_to_earn(tmp_path: Path) -> None:
    with pytest.raises(NoDemand, match="nothing was sold"):
        replay(past(world(4, 2).with_columns(actual=pl.lit(0)), tmp_path), seed=1)


def test_the_picture_is_a_png(report: dict[str, Any]) -> None:
    assert money_png(report).startswith(b"\x89PNG\r\n\x1a\n")
