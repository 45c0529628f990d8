"""Model store: whole files under names that say what is in them, or a refusal; in a folder as in a bucket."""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ml.errors import BundleRefused, ModelNotFound, SnapshotNotFound, StoreUnavailable
from ml.model_store import HEAD_BYTES, ModelStore
from tests.s3 import BUCKET, S3

MODEL = "a" * 64


def snapshot(created_at: str, text: str = "") -> bytes:
    return b"{}\n" + json.dumps({"created_at": created_at, "text": text}).encode() + b"\n"


@dataclass(frozen=True)
class Place:
    """Where a store is, and a way round it to what it holds."""

    url: Path | str
    change: Callable[[str, bytes], object]
    files: Callable[[], dict[str, bytes]]


def in_folder(root: Path) -> Place:
    def change(name: str, data: bytes) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    return Place(
        root,
        change,
        lambda: {
            str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
        },
    )


def in_bucket(s3: S3) -> Place:
    prefix = "shop/models/"
    return Place(
        f"s3://{BUCKET}/{prefix}",
        lambda name, data: s3.replace(prefix + name, data),
        lambda: {name.removeprefix(prefix): data for name, data in s3.objects().items()},
    )


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return in_folder(tmp_path) if request.param == "folder" else in_bucket(request.getfixturevalue("s3"))


@pytest.fixture
def store(place: Place) -> ModelStore:
    return ModelStore(place.url)


def test_a_bundle_comes_back_under_its_digest(store: ModelStore, place: Place) -> None:
    sha256 = store.put_bundle(b"model")
    assert sha256 == hashlib.sha256(b"model").hexdigest()
    assert store.get_bundle(sha256) == b"model"
    assert store.put_bundle(b"model") == sha256
    assert place.files() == {f"bundles/{sha256}.tar": b"model"}


def test_changed_bytes_are_refused_until_they_are_written_again(store: ModelStore, place: Place) -> None:
    sha256 = store.put_bundle(b"model")
    for damaged in (b"modem", b"mode", b""):
        place.change(f"bundles/{sha256}.tar", damaged)
        with pytest.raises(BundleRefused, match="file was changed"):
            store.get_bundle(sha256)
    store.put_bundle(b"model")
    assert store.get_bundle(sha256) == b"model"


@pytest.mark.parametrize("name", ["b" * 64, "../../etc/passwd", "A" * 64, ""])
def test_an_unknown_or_impossible_name_is_not_found(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelNotFound):
        store.get_bundle(name)
    with pytest.raises((ModelNotFound, SnapshotNotFound)):
        store.newest_snapshot(name)


def test_the_newest_snapshot_is_of_the_latest_month_then_the_latest_written(store: ModelStore) -> None:
    for name, created_at in (
        ("2025-11.bbbbbbbbbbbb", "2026-01-09"),
        ("2025-12.000000000000", "2026-01-05"),
        ("2025-12.111111111111", "2026-01-04"),
    ):
        store.put_snapshot(MODEL, name, snapshot(created_at))
    assert store.newest_snapshot(MODEL)[0] == "2025-12.000000000000"
    again = snapshot("2026-01-06", "again" * HEAD_BYTES)
    where = store.put_snapshot(MODEL, "2025-12.111111111111", again)
    assert where == f"{store.root}/snapshots/{MODEL}/2025-12.111111111111.jsonl"
    assert store.newest_snapshot(MODEL) == ("2025-12.111111111111", again)


@pytest.mark.parametrize("damaged", [b"\x00", b"", b"{}\n{", b'{}\n{"created_at": 9999}\n'])
def test_a_damaged_snapshot_does_not_hide_a_whole_one_of_its_month(store: ModelStore, damaged: bytes) -> None:
    whole = snapshot(datetime.now(UTC).isoformat())
    store.put_snapshot(MODEL, "2025-12.000000000000", whole)
    store.put_snapshot(MODEL, "2025-12.ffffffffffff", damaged)
    assert store.newest_snapshot(MODEL) == ("2025-12.000000000000", whole)


def test_files_that_are_no_snapshots_are_passed_over(store: ModelStore, place: Place) -> None:
    store.put_snapshot(MODEL, "2025-12.000000000000", snapshot("2026-01-05"))
    for name in (".partial-x", "2026-01.jsonl", "notes.txt", "deeper/2026-01.000000000000.jsonl"):
        place.change(f"snapshots/{MODEL}/{name}", snapshot("2026-02-01"))
    assert store.newest_snapshot(MODEL)[0] == "2025-12.000000000000"


def test_another_models_snapshot_is_not_served(store: ModelStore) -> None:
    store.put_snapshot(MODEL, "2025-12.000000000000", snapshot("2026-01-05"))
    with pytest.raises(SnapshotNotFound, match="python -m ml forecast"):
        store.newest_snapshot("b" * 64)


def test_a_data_version_that_is_a_path_is_refused(store: ModelStore) -> None:
    with pytest.raises(ValueError, match="is not YYYY-MM"):
        store.put_snapshot(MODEL, "../../2025-12.000000000000", b"")


def test_a_folder_copied_into_a_bucket_is_the_same_store(tmp_path: Path, s3: S3) -> None:
    folder, bucket = in_folder(tmp_path), in_bucket(s3)
    there = ModelStore(folder.url)
    sha256 = there.put_bundle(b"model")
    there.put_snapshot(sha256, "2025-12.000000000000", snapshot("2026-01-05"))
    for name, data in folder.files().items():
        bucket.change(name, data)
    here = ModelStore(bucket.url)
    assert here.get_bundle(sha256) == b"model"
    assert here.newest_snapshot(sha256) == there.newest_snapshot(sha256)


def test_a_reader_meets_a_replaced_snapshot_only_whole(store: ModelStore) -> None:
    versions = [
        snapshot(f"2026-01-0{day}", str(day) * 1_000_000) for day in (1, 2)
    ]  # larger than a network buffer
    name = "2025-12.000000000000"
    store.put_snapshot(MODEL, name, versions[0])
    done = threading.Event()

    def replace() -> None:
        while not done.is_set():
            for version in versions:
                store.put_snapshot(MODEL, name, version)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        seen = {store.newest_snapshot(MODEL)[1] for _ in range(40)}
    finally:
        done.set()
        writer.join()
    assert seen <= set(versions)


def test_choosing_a_snapshot_takes_two_requests_and_one_more_for_each_of_the_same_month(s3: S3) -> None:
    store = ModelStore(f"s3://{BUCKET}")
    for month in range(1, 13):
        store.put_snapshot(MODEL, f"2025-{month:02}.000000000000", snapshot("2026-01-05"))
    s3.requests.clear()
    store.newest_snapshot(MODEL)
    assert s3.requests == [
        f"GET /{BUCKET}",
        f"GET /{BUCKET}/snapshots/{MODEL}/2025-12.000000000000.jsonl",
    ]
    store.put_snapshot(MODEL, "2025-12.111111111111", snapshot("2026-01-06"))
    s3.requests.clear()
    store.newest_snapshot(MODEL)
    assert len(s3.requests) == 4


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(StoreUnavailable, match=os.strerror(problem)):
        ModelStore(tmp_path).put_bundle(b"model")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    store = ModelStore(tmp_path / "models")
    for use in (
        lambda: store.put_bundle(b"model"),
        lambda: store.get_bundle(MODEL),
        lambda: store.newest_snapshot(MODEL),
    ):
        with pytest.raises(StoreUnavailable, match="models"):
            use()


def test_another_user_can_read_what_was_written(tmp_path: Path) -> None:
    sha256 = ModelStore(tmp_path).put_bundle(b"model")
    assert (tmp_path / "bundles" / f"{sha256}.tar").stat().st_mode & 0o777 == 0o644
