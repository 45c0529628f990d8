"""Snapshots for several models from one reading of the panel."""

from pathlib import Path

import pytest

from ml import publishing
from ml.model_store import ModelStore
from ml.publishing import publish_each
from ml.settings import MlSettings
from ml.snapshot import Snapshot
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes


def test_each_model_gets_its_snapshot_and_a_missing_one_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, shop = MlSettings(state=tmp_path), small_shop()
    monkeypatch.setattr(publishing, "noted_history", lambda *_: shop)
    monkeypatch.setattr(publishing, "open_month", lambda *_: {"unknown": "a test"})
    store = ModelStore(settings.model_store)
    naive, ses = (store.put_bundle(bundle_bytes(shop, name)) for name in ("naive", "ses"))
    missing = "0" * 64
    said = publish_each(settings, [(7, naive), (6, missing), (5, ses)])
    assert [(each["model_version"], each["model_sha256"]) for each in said] == [
        (7, naive),
        (6, missing),
        (5, ses),
    ]
    assert ["error" in each for each in said] == [False, True, False]
    for version, sha256 in ((7, naive), (5, ses)):
        snapshot = Snapshot.from_bytes(store.newest_snapshot(sha256)[1], sha256)
        assert (snapshot.model_version, len(snapshot.answers)) == (version, 40)
        assert snapshot.nowcast == {"unknown": "a test"}
