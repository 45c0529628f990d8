"""Bundles and forecast snapshots on disk, each under a name that says what is in it."""

import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

from ml.errors import BundleRefused, ModelNotFound, SnapshotNotFound, StoreUnavailable

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATA_VERSION = re.compile(r"\d{4}-\d{2}\.[0-9a-f]{12}")
_SUFFIX = ".jsonl"


class ModelStore:
    """A folder: `bundles/<sha256>.tar` and `snapshots/<model sha256>/<data version>.jsonl`.

    A file appears whole or not at all: it is written beside its place, synced and renamed, so a
    killed writer leaves nothing that a reader could take for a model.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_bundle(self, data: bytes) -> str:
        """The bundle's sha256, under which it can be read once this returns."""
        sha256 = hashlib.sha256(data).hexdigest()
        _write(self._bundle(sha256), data)
        return sha256

    def get_bundle(self, sha256: str) -> bytes:
        """The bundle's bytes, which have this sha256.

        Raises:
            ModelNotFound: No such bundle here.
            BundleRefused: The stored bytes have another digest.
        """
        path = self._bundle(sha256)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ModelNotFound(f"no bundle {sha256} in {self.root}; train or copy it there") from error
        except OSError as error:
            raise StoreUnavailable(f"cannot read {path}: {error.strerror}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise BundleRefused(f"{path} has sha256 {found}: the file was changed; restore it or train again")
        return data

    def put_snapshot(self, model_sha256: str, data_version: str, data: bytes) -> Path:
        """Where the snapshot is kept; one of the same model and data version is replaced."""
        if not _DATA_VERSION.fullmatch(data_version):
            raise ValueError(f"data version {data_version!r} is not YYYY-MM.<12 hex digits>")
        path = self._snapshots(model_sha256) / f"{data_version}{_SUFFIX}"
        _write(path, data)
        return path

    def newest_snapshot(self, model_sha256: str) -> tuple[str, bytes]:
        """Data version and bytes of the model's snapshot of the latest month, by creation within a month.

        Raises:
            SnapshotNotFound: The model has none.
        """
        folder = self._snapshots(model_sha256)
        found = [path for path in folder.glob(f"*{_SUFFIX}") if _DATA_VERSION.fullmatch(path.stem)]
        if not found:
            raise SnapshotNotFound(
                f"model {model_sha256[:12]} has no snapshot in {self.root}; run `python -m ml forecast`"
            )
        newest = max(found, key=lambda path: (path.stem[:7], _created_at(path), path.stem))
        return newest.stem, newest.read_bytes()

    def _bundle(self, sha256: str) -> Path:
        return self.root / "bundles" / f"{_checked(sha256)}.tar"

    def _snapshots(self, model_sha256: str) -> Path:
        return self.root / "snapshots" / _checked(model_sha256)


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ModelNotFound(f"{sha256!r} is not a sha256 in lower-case hex")
    return sha256


def _created_at(path: Path) -> str:
    with path.open("rb") as lines:
        next(lines, b"")
        try:
            return str(json.loads(next(lines, b""))["created_at"])
        except (ValueError, KeyError, TypeError):
            return ""  # a broken file is never newer than a whole one


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as partial:
            try:
                partial.write(data)
                partial.flush()
                os.fchmod(partial.fileno(), 0o644)
                os.fsync(partial.fileno())
                Path(partial.name).replace(path)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreUnavailable(
            f"cannot write {path}: {error.strerror}; free space or choose another model store"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
