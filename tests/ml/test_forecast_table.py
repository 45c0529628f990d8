"""Forecasts in store and lake: written once, and judged when their month is over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml import forecast_table
from ml.bundle import Bundle, Predictor
from ml.calibration import Calibration
from ml.data_version import data_version_of
from ml.drift.judging import judge
from ml.errors import SnapshotNotFound
from ml.evaluation import backtest
from ml.forecast_table import SCHEMA, Published, month_errors, publish
from ml.history import History
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.models import CANDIDATES
from ml.snapshot import Snapshot
from tests.ml.small_history import small_shop
from tests.ml.small_models import SEED, small_bundle

SHOP = small_shop()
BUNDLE = small_bundle(SHOP)
NOW = datetime(2026, 1, 4, tzinfo=UTC)


class Place:
    """A lake and a store."""

    def __init__(self, folder: Path) -> None:
        self.lake, self.store = Lake(folder / "lake"), ModelStore(folder / "models")

    def publish(
        self, history: History, now: datetime = NOW, bundle: Bundle = BUNDLE, version: int = 3
    ) -> Published:
        return publish(self.lake, self.store, bundle, history, model_version=version, now=now)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_snapshot_says_whether_the_newest_month_drifted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model has learned from that month, so it cannot judge; later months it can."""
    place.publish(SHOP)
    _, data = place.store.newest_snapshot(BUNDLE.sha256)
    assert Snapshot.from_bytes(data, BUNDLE.sha256).drift == "not enough data"
    found = judge(SHOP, BUNDLE)
    report = replace(found, forecasts=replace(found.forecasts, answer="drift"))
    monkeypatch.setattr(forecast_table, "judge", lambda *_: report)
    place.publish(SHOP, NOW + timedelta(hours=1))
    _, data = place.store.newest_snapshot(BUNDLE.sha256)
    assert Snapshot.from_bytes(data, BUNDLE.sha256).drift == "drift"


def test_store_and_lake_hold_the_same_forecasts(place: Place) -> None:
    report = place.publish(SHOP)
    name, data = place.store.newest_snapshot(BUNDLE.sha256)
    snapshot = Snapshot.from_bytes(data, BUNDLE.sha256)
    rows = place.lake.read("forecasts").collect().sort("product_id")
    assert name == report.data_version == data_version_of(SHOP).name
    assert dict(rows.schema) == SCHEMA
    assert rows["product_id"].to_list() == snapshot.product_ids
    assert rows["mean"].sum() == pytest.approx(
        sum(category["mean"] for category in snapshot.categories.values())
    )
    assert (report.month, report.products, report.rows) == ("2026-01", SHOP.n, SHOP.n)


def test_the_same_model_and_data_again_add_nothing_to_the_lake(place: Place) -> None:
    place.publish(SHOP)
    again = place.publish(SHOP, NOW + timedelta(hours=1))
    assert again.rows == 0
    assert place.lake.read("forecasts").select(pl.len()).collect().item() == SHOP.n


def test_another_model_or_another_month_adds_rows(place: Place) -> None:
    other = small_bundle(SHOP, "ma3")
    rows = [
        place.publish(SHOP).rows,
        place.publish(SHOP, bundle=other, version=4).rows,
        place.publish(SHOP.until(20)).rows,
    ]
    assert all(rows)
    assert place.lake.read("forecasts").select(pl.len()).collect().item() == sum(rows)


def test_errors_are_recomputed_from_what_was_sold(place: Place) -> None:
    """Only the forecast for 2025-09 is over; its numbers by plain sums."""
    past = SHOP.until(20)
    place.publish(past)
    place.publish(SHOP)
    (error,) = month_errors(place.lake, SHOP)
    rows = place.lake.read("forecasts").filter(pl.col("month") == "2025-09").collect()
    actual = {p: float(SHOP.units[i, 20]) for i, p in enumerate(SHOP.product_ids)}
    sold = [actual[p] for p in rows["product_id"]]
    off = sum(abs(a - m) for a, m in zip(sold, rows["mean"], strict=True))
    inside = sum(lo <= a <= hi for a, lo, hi in zip(sold, rows["q0.10"], rows["q0.90"], strict=True))
    assert (error.month, error.model_version, error.observations) == ("2025-09", 3, rows.height)
    assert error.units == sum(sold)
    assert error.wape == pytest.approx(off / sum(sold))
    assert error.bias == pytest.approx((sum(rows["mean"].to_list()) - sum(sold)) / sum(sold))
    assert error.coverage_80 == pytest.approx(inside / rows.height)
    assert error.horizon == 1
    price = {p: float(SHOP.price_cents[i, 20]) for i, p in enumerate(SHOP.product_ids)}
    known = [(p, m) for p, m in zip(rows["product_id"], rows["mean"], strict=True) if price[p] == price[p]]
    assert error.revenue_wape == pytest.approx(
        sum(price[p] * abs(actual[p] - m) for p, m in known) / sum(price[p] * actual[p] for p, _ in known)
    )
    assert error.revenue_wape != pytest.approx(error.wape)
    assert error.naive_wape == pytest.approx(
        sum(abs(a - last) for a, last in zip(sold, rows["last_month_units"], strict=True)) / sum(sold)
    )


def test_the_scaled_loss_is_that_of_the_backtest(place: Place) -> None:
    """Judged on the same month, by the forecasts a backtest would have made from the same months."""
    tested = backtest(SHOP.until(21), {"ses": CANDIDATES["ses"]}, seed=SEED)
    calibration = Calibration.fit("residuals", tested.hindcasts.before(CANDIDATES["ses"], 20))
    predictor = Predictor(CANDIDATES["ses"].fit(SHOP.until(20), SEED), calibration)
    place.publish(SHOP.until(20), bundle=replace(BUNDLE, predictor=predictor))
    (error,) = month_errors(place.lake, SHOP)
    assert error.pinball == pytest.approx(float(np.nanmean(tested.losses("ses")[:, -1])), abs=1e-3)


def test_of_two_forecasts_of_a_month_the_newest_counts(place: Place) -> None:
    past = SHOP.until(20)
    changed = past.rows(np.arange(1, past.n))
    place.publish(past)
    place.publish(changed, NOW + timedelta(hours=1))
    (error,) = month_errors(place.lake, SHOP)
    known = int((~np.isnan(changed.units[:, -1])).sum())
    assert error.observations == known


def test_models_are_judged_side_by_side(place: Place) -> None:
    place.publish(SHOP.until(20))
    place.publish(SHOP.until(20), bundle=small_bundle(SHOP, "naive"), version=4)
    errors = month_errors(place.lake, SHOP)
    assert [error.model_version for error in errors] == [3, 4]
    assert errors[1].wape == pytest.approx(errors[1].naive_wape, abs=0.2)


def test_products_that_the_panel_no_longer_has_are_left_out(place: Place) -> None:
    place.publish(SHOP.until(20))
    fewer = SHOP.rows(np.arange(10))
    (error,) = month_errors(place.lake, fewer)
    assert error.observations <= 10
    none = History(("X",), ("x",), SHOP.months, np.ones((1, SHOP.T)), np.ones((1, SHOP.T)))
    assert month_errors(place.lake, none) == []


def test_a_month_in_which_nothing_sold_has_no_share(place: Place) -> None:
    place.publish(SHOP.until(20))
    units = SHOP.units.copy()
    units[:, 20] = np.where(np.isnan(units[:, 20]), np.nan, 0.0)
    (error,) = month_errors(
        place.lake, History(SHOP.product_ids, SHOP.categories, SHOP.months, units, SHOP.price_cents)
    )
    assert (error.wape, error.bias, error.naive_wape, error.units) == (None, None, None, 0.0)


def test_before_the_first_forecast_it_says_what_to_run(place: Place) -> None:
    with pytest.raises(SnapshotNotFound, match="python -m ml forecast"):
        month_errors(place.lake, SHOP)
