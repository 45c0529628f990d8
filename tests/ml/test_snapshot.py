"""Snapshots: whole, of one model, and bit for bit what a live request gets."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from ml.errors import BundleRefused, UnknownProduct
from ml.group_forecasts import group_forecasts
from ml.models import CANDIDATES
from ml.product_history import ProductHistory
from ml.snapshot import Snapshot, snapshot_bytes
from tests.ml.small_history import small_shop
from tests.ml.small_models import manifest, small_bundle

SHOP = small_shop()
BUNDLE = small_bundle(SHOP)
NOW = datetime(2026, 1, 4, tzinfo=UTC)
DATA = snapshot_bytes(BUNDLE, 3, manifest().data_version, SHOP, NOW)


def test_it_says_what_it_is() -> None:
    snapshot = Snapshot.from_bytes(DATA, BUNDLE.sha256)
    assert (snapshot.model_version, snapshot.model_sha256) == (3, BUNDLE.sha256)
    assert (snapshot.month, snapshot.created_at) == ("2026-01", NOW)
    assert snapshot.product_ids == sorted(SHOP.product_ids)


def test_an_answer_is_found_by_the_shops_own_spelling() -> None:
    snapshot = Snapshot.from_bytes(DATA, BUNDLE.sha256)
    assert json.loads(snapshot.get(" p0007 "))["product_id"] == "P0007"
    with pytest.raises(UnknownProduct, match="'NO-SUCH'"):
        snapshot.get("NO-SUCH")


@pytest.mark.parametrize("candidate", [*sorted(set(CANDIDATES) - {"mix"}), "mix"])
def test_a_live_answer_has_the_bits_of_the_snapshot_for_every_product(candidate: str) -> None:
    bundle = small_bundle(SHOP, candidate)
    snapshot = Snapshot.from_bytes(
        snapshot_bytes(bundle, 3, "2025-12.0123456789ab", SHOP, NOW), bundle.sha256
    )
    live = snapshot.live(bundle)
    for row, product_id in enumerate(SHOP.product_ids):
        sent = ProductHistory.model_validate_json(ProductHistory.of(SHOP, row).model_dump_json())
        assert live.answer(sent) == snapshot.get(product_id)


def test_a_live_answer_follows_the_history_that_is_sent() -> None:
    snapshot = Snapshot.from_bytes(DATA, BUNDLE.sha256)
    own = ProductHistory.of(SHOP, 3)
    more = own.model_copy(update={"units": [units * 10 for units in own.units]})
    assert json.loads(snapshot.live(BUNDLE).answer(more))["mean"] > json.loads(snapshot.get("P0003"))["mean"]


def test_a_product_without_a_sale_yet_is_left_out() -> None:
    early = SHOP.until(6)
    unsold = {p for p, units in zip(early.product_ids, early.units, strict=True) if np.isnan(units[-1])}
    data = snapshot_bytes(BUNDLE, 3, manifest().data_version, early, NOW)
    assert unsold
    assert set(Snapshot.from_bytes(data, BUNDLE.sha256).product_ids) == set(early.product_ids) - unsold


def test_categories_add_up_to_their_products() -> None:
    snapshot = Snapshot.from_bytes(DATA, BUNDLE.sha256)
    answers = [json.loads(answer) for answer in snapshot.answers.values()]
    for name, category in snapshot.categories.items():
        total = sum(answer["mean"] for answer in answers if answer["category"] == name)
        assert category["mean"] == pytest.approx(total, abs=1e-3)


def test_the_total_of_a_snapshot_without_one_is_the_sum_of_its_categories() -> None:
    snapshot = Snapshot.from_bytes(DATA, BUNDLE.sha256)
    assert "total_forecast" not in snapshot.header
    assert snapshot.total["mean"] == pytest.approx(sum(c["mean"] for c in snapshot.categories.values()))
    assert snapshot.total["products"] == SHOP.n
    assert snapshot.group("toys") == snapshot.categories["toys"]
    assert (snapshot.group(None), snapshot.group("none")) == (snapshot.total, None)


def test_joint_forecasts_of_categories_and_shop_are_kept() -> None:
    data = snapshot_bytes(BUNDLE, 3, manifest().data_version, SHOP, NOW, groups=group_forecasts)
    snapshot, plain = (Snapshot.from_bytes(each, BUNDLE.sha256) for each in (data, DATA))
    assert snapshot.answers == plain.answers
    assert list(snapshot.total["quantiles"]) == list(snapshot.categories["toys"]["quantiles"])
    assert snapshot.total["mean"] == plain.total["mean"]


@pytest.mark.parametrize("place", [0.0, 0.01, 0.3, 0.9, 1.0])
def test_a_changed_byte_is_refused(place: float) -> None:
    broken = bytearray(DATA)
    broken[int(place * (len(DATA) - 1))] ^= 1
    with pytest.raises(BundleRefused):
        Snapshot.from_bytes(bytes(broken), BUNDLE.sha256)


@pytest.mark.parametrize(
    "data", [b"", b"{}\n", b"[]\n", b'{"format":2,"sha256":""}\n', DATA[: len(DATA) // 2]]
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(BundleRefused, match="snapshot"):
        Snapshot.from_bytes(data, BUNDLE.sha256)


def test_another_models_snapshot_or_bundle_is_refused() -> None:
    with pytest.raises(BundleRefused, match="is of model"):
        Snapshot.from_bytes(DATA, "b" * 64)
    with pytest.raises(BundleRefused, match="is of model"):
        Snapshot.from_bytes(DATA, BUNDLE.sha256).live(small_bundle(SHOP, "ma3"))


def test_only_the_time_differs_when_it_is_made_again() -> None:
    again = snapshot_bytes(BUNDLE, 3, manifest().data_version, SHOP, NOW)
    later = snapshot_bytes(BUNDLE, 3, manifest().data_version, SHOP, NOW.replace(year=2027))
    assert again == DATA
    assert later.splitlines()[2:] == DATA.splitlines()[2:]
