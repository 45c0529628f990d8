"""The days that a nowcast reads: whole days of the shop, of purchases, less what was set aside."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ml.bundle import Bundle
from ml.data_version import data_version_of
from ml.forecast_table import publish
from ml.history import History
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.open_month import daily_units, open_month
from ml.panel import build_panel, load_history
from ml.snapshot import Snapshot, snapshot_bytes
from ml.stock import stock_note
from tests.ml.small_history import small_shop
from tests.ml.small_models import small_bundle
from tests.ml.small_shop import NOW, SETTINGS, row, take, write

ZONE = "Europe/Istanbul"


def events(*rows: tuple[str, datetime, int, str]) -> pl.LazyFrame:
    """Product, time, units and type of each event."""
    return pl.LazyFrame(
        {
            "event_id": [str(i) for i in range(len(rows))],
            "product_id": [product for product, *_ in rows],
            "occurred_at": [when for _, when, *_ in rows],
            "quantity": [units for *_, units, _ in rows],
            "event_type": [kind for *_, kind in rows],
            "category": ["unknown" if product == "B" else "bags" for product, *_ in rows],
        }
    )


def test_days_are_the_shops_and_the_running_one_is_left_out() -> None:
    night = datetime(2026, 8, 31, 21, 30, tzinfo=UTC)  # 1 September in Istanbul
    daily = daily_units(
        events(
            ("A", datetime(2026, 8, 3, 9, tzinfo=UTC), 2, "purchase"),
            ("A", night, 5, "purchase"),
            ("A", night, 1, "purchase"),
            ("B", datetime(2026, 9, 2, 9, tzinfo=UTC), 7, "purchase"),
            ("B", datetime(2026, 9, 2, 9, tzinfo=UTC), 7, "return"),
            ("A", datetime(2026, 9, 3, 9, tzinfo=UTC), 100, "purchase"),
        ),
        date(2026, 8, 1),
        ZONE,
    )
    assert (daily.product_ids, daily.categories) == (("A", "B"), ("bags", "unknown"))
    assert (str(daily.month), daily.days_of_month) == ("2026-09", 2)
    assert (str(daily.days[0]), str(daily.days[-1])) == ("2026-08-01", "2026-09-02")
    sold = {
        (daily.product_ids[i], str(daily.days[d])): daily.units[i, d] for i, d in np.argwhere(daily.units > 0)
    }
    assert sold == {("A", "2026-08-03"): 2, ("A", "2026-09-01"): 6, ("B", "2026-09-02"): 7}


def test_a_month_that_ended_but_is_not_closed_is_known_whole() -> None:
    start = datetime(2026, 8, 1, 9, tzinfo=UTC)
    daily = daily_units(
        events(*(("A", start + timedelta(days=d), 1, "purchase") for d in range(65))), date(2026, 8, 1), ZONE
    )
    assert daily.days_of_month == 30
    assert daily.units.sum() == 31 + 30


def test_an_open_month_without_a_day_has_none() -> None:
    daily = daily_units(
        events(("A", datetime(2026, 8, 31, 9, tzinfo=UTC), 1, "purchase")), date(2026, 8, 1), ZONE
    )
    assert daily.days_of_month == 0


def shop_rows() -> list[dict[str, Any]]:
    """A sale of each of two products on every day from January to 9 September, and one entry error."""
    start = datetime(2026, 1, 1, 9, tzinfo=UTC)
    usual = [
        row(
            product_id=product,
            event_type="purchase",
            event_time=start + timedelta(days=d),
            quantity=2,
            order_id=f"o-{d}-{product}",
        )
        for d in range(252)
        for product in "AB"
    ]
    error = datetime(2026, 9, 5, 9, tzinfo=UTC)
    wrong = [
        row(event_type=kind, event_time=error + timedelta(minutes=m), quantity=5_000, order_id=f"x{m}")
        for m, kind in ((0, "purchase"), (9, "return"))
    ]
    return usual + wrong


def test_the_forecast_carries_the_open_month_and_no_answer_changes(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    take(write(tmp_path / "shop.parquet", shop_rows()), lake)
    build_panel(lake, SETTINGS, NOW)
    history = load_history(lake)
    said = open_month(lake, history, SETTINGS)
    assert (said["month"], said["days"], str(history.months[-1])) == ("2026-09", 8, "2026-08")
    assert said["shop"]["so_far"] == 32, "the entry error is not part of it"
    assert 110 < said["shop"]["expected"] < 130

    bundle, store = small_bundle(history, "naive"), ModelStore(tmp_path / "models")
    notes = {**stock_note(lake, history), "nowcast": said}
    publish(lake, store, bundle, history, model_version=1, now=NOW, notes=notes)
    _, data = store.newest_snapshot(bundle.sha256)
    snapshot = Snapshot.from_bytes(data, bundle.sha256)
    assert snapshot.nowcast == said
    assert snapshot.stock_data == "no stock data"
    assert dict(snapshot.answers) == dict(plain(bundle, history).answers)


def plain(bundle: Bundle, history: History) -> Snapshot:
    """The snapshot without anything beside its answers."""
    version = data_version_of(history).name
    return Snapshot.from_bytes(snapshot_bytes(bundle, 1, version, history, NOW), bundle.sha256)


def test_a_snapshot_without_an_open_month_says_so() -> None:
    shop = small_shop()
    snapshot = plain(small_bundle(shop), shop)
    assert "without the open month" in snapshot.nowcast["unknown"]
    assert snapshot.stock_data == "no stock data"
