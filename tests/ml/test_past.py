"""The past beside a snapshot: what was sold and what had been forecast, in parts."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from ml.errors import SnapshotNotFound
from ml.forecast_table import newest_told
from ml.past import PRODUCTS_IN_PART, part_of, past_parts, told_before
from tests.ml.small_history import small_shop
from tests.ml.small_models import small_bundle
from tests.ml.test_forecast_table import BUNDLE, NOW, SHOP, Place


def test_every_product_is_in_its_part_with_the_months_since_its_first_sale() -> None:
    shop = small_shop(products=PRODUCTS_IN_PART + 50, months=18)
    parts = [json.loads(part) for part in past_parts(shop, {})]
    assert len(parts) == 2
    assert sum(map(len, parts)) == sum(~np.isnan(shop.units[:, -1]))
    for row, product_id in enumerate(shop.product_ids[:60]):
        entry = parts[part_of(product_id, 2)][product_id]
        sold = shop.units[row][~np.isnan(shop.units[row])]
        assert entry["units"] == sold.tolist()
        assert entry["first_month"] == str(shop.months[-len(sold)])


def test_a_long_history_is_cut_and_a_shop_without_products_has_a_part() -> None:
    shop = small_shop(products=5, months=100)
    (part,) = (json.loads(each) for each in past_parts(shop, {}))
    assert {len(entry["units"]) for entry in part.values()} <= set(range(61))
    assert max(len(entry["units"]) for entry in part.values()) == 60
    assert past_parts(shop.rows(np.arange(0)), {}) == [b"{}"]


def test_of_each_month_the_newest_model_that_is_not_newer_is_told_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.publish(SHOP.until(20), version=2, bundle=small_bundle(SHOP, "ma3"))
    place.publish(SHOP.until(20), version=3)
    place.publish(SHOP.until(20), NOW + timedelta(hours=1), small_bundle(SHOP, "naive"), version=9)
    place.publish(SHOP.until(21), NOW + timedelta(days=31), version=3)
    told = newest_told(place.lake, ["2025-09", "2025-10"], 3)
    rows = place.lake.read("forecasts").collect()
    assert set(told["model_version"]) == {3}
    assert told.select("month", "product_id").is_unique().all()
    for row in told.to_dicts()[:20]:
        (same,) = rows.filter(
            (rows["month"] == row["month"])
            & (rows["product_id"] == row["product_id"])
            & (rows["model_version"] == 3)
        ).to_dicts()
        assert (row["mean"], row["p10"], row["p90"]) == (same["mean"], same["q0.10"], same["q0.90"])
    assert {each["month"] for each in told_before(told.to_dicts())["P0003"]} == {"2025-09", "2025-10"}


def test_a_publication_leaves_the_past_of_its_products(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.publish(SHOP.until(20))
    report = place.publish(SHOP)
    part = json.loads(place.store.past(BUNDLE.sha256, report.data_version, 0))
    assert [each["month"] for each in part["P0003"]["forecasts"]] == ["2025-09"]
    assert place.store.newest_snapshot(BUNDLE.sha256)[0] == report.data_version
    with pytest.raises(SnapshotNotFound):
        place.store.past(BUNDLE.sha256, report.data_version, 1)
