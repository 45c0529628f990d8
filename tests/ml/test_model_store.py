"""Model store: whole files under names that say what is in them, or a refusal."""

import errno
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.errors import BundleRefused, ModelNotFound, SnapshotNotFound, StoreUnavailable
from ml.model_store import ModelStore

MODEL = "a" * 64


def snapshot(created_at: str, text: str = "") -> bytes:
    return b"{}\n" + json.dumps({"created_at": created_at, "text": text}).encode() + b"\n"


def test_a_bundle_comes_back_under_its_digest(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    sha256 = store.put_bundle(b"model")
    assert sha256 == hashlib.sha256(b"model").hexdigest()
    assert store.get_bundle(sha256) == b"model"
    assert store.put_bundle(b"model") == sha256


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    sha256 = store.put_bundle(b"model")
    (tmp_path / "bundles" / f"{sha256}.tar").write_bytes(b"modem")
    with pytest.raises(BundleRefused, match="file was changed"):
        store.get_bundle(sha256)


@pytest.mark.parametrize("name", ["b" * 64, "../../etc/passwd", "A" * 64, ""])
def test_an_unknown_or_impossible_name_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelNotFound):
        ModelStore(tmp_path).get_bundle(name)


def test_the_newest_snapshot_is_of_the_latest_month_then_the_latest_written(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for name, created_at in (
        ("2025-11.bbbbbbbbbbbb", "2026-01-09"),
        ("2025-12.000000000000", "2026-01-05"),
        ("2025-12.111111111111", "2026-01-04"),
    ):
        store.put_snapshot(MODEL, name, snapshot(created_at))
    assert store.newest_snapshot(MODEL)[0] == "2025-12.000000000000"
    store.put_snapshot(MODEL, "2025-12.111111111111", snapshot("2026-01-06", "again"))
    name, data = store.newest_snapshot(MODEL)
    assert (name, b"again" in data) == ("2025-12.111111111111", True)


def test_a_damaged_snapshot_does_not_hide_a_whole_one_of_its_month(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.put_snapshot(MODEL, "2025-12.000000000000", snapshot(datetime.now(UTC).isoformat()))
    store.put_snapshot(MODEL, "2025-12.ffffffffffff", b"\x00")
    assert store.newest_snapshot(MODEL)[0] == "2025-12.000000000000"


def test_another_models_snapshot_is_not_served(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.put_snapshot(MODEL, "2025-12.000000000000", snapshot("2026-01-05"))
    with pytest.raises(SnapshotNotFound, match="python -m ml forecast"):
        store.newest_snapshot("b" * 64)


def test_a_data_version_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not YYYY-MM"):
        ModelStore(tmp_path).put_snapshot(MODEL, "../../2025-12.000000000000", b"")


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr("ml.model_store.os.fsync", refuse)
    with pytest.raises(StoreUnavailable, match=os.strerror(problem)):
        ModelStore(tmp_path).put_bundle(b"model")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(StoreUnavailable, match="models"):
        ModelStore(tmp_path / "models").put_bundle(b"model")


def test_another_user_can_read_what_was_written(tmp_path: Path) -> None:
    sha256 = ModelStore(tmp_path).put_bundle(b"model")
    assert (tmp_path / "bundles" / f"{sha256}.tar").stat().st_mode & 0o777 == 0o644
