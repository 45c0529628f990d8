"""Bundles and forecast snapshots, each under a name that says what is in it."""

import hashlib
import re
from pathlib import Path
from typing import Protocol

from ml.bucket import Bucket
from ml.errors import BundleRefused, ModelNotFound, SnapshotNotFound
from ml.folder import Folder
from ml.location import location

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATA_VERSION = re.compile(r"\d{4}-\d{2}\.[0-9a-f]{12}")
_CREATED_AT = re.compile(rb'"created_at": ?"([^"\\]{1,40})"')
_SUFFIX = ".jsonl"
QUALITY = "reports/quality.json"
HEAD_BYTES = 1024
"""A snapshot says within its first bytes when it was made, so that choosing one does not read them all."""


class Files(Protocol):
    """Named bytes, each whole or not there."""

    def read(self, name: str, size_bytes: int = -1) -> bytes:
        """The whole file, or at most its first `size_bytes`."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, without it."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes under this name."""
        ...


class ModelStore:
    """A folder or `s3://bucket/prefix` with `bundles/<sha256>.tar` and `snapshots/<model sha256>/<data version>.jsonl`.

    The newest report of the quality gate is `reports/quality.json` there.

    A file appears whole or not at all, and one copied from folder to bucket is the same there. A reader in S3 needs
    `s3:GetObject` on the prefix and `s3:ListBucket` on the bucket, a writer `s3:PutObject` besides.

    Raises:
        StoreUnavailable: From every method, when the disk or S3 does not answer or refuses.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = location(root)
        self._files: Files = Folder(self.root) if isinstance(self.root, Path) else Bucket(self.root)

    def put_bundle(self, data: bytes) -> str:
        """The bundle's sha256, under which it can be read once this returns.

        One that is there already has the same bytes; were it damaged, it is whole again.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        self._files.write(_bundle(sha256), data)
        return sha256

    def get_bundle(self, sha256: str) -> bytes:
        """The bundle's bytes, which have this sha256.

        Raises:
            ModelNotFound: No such bundle here.
            BundleRefused: The stored bytes have another digest.
        """
        name = _bundle(sha256)
        try:
            data = self._files.read(name)
        except FileNotFoundError as error:
            raise ModelNotFound(f"no bundle {sha256} in {self.root}; train or copy it there") from error
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise BundleRefused(
                f"{self.root}/{name} has sha256 {found}: the file was changed; restore it or train again"
            )
        return data

    def put_snapshot(self, model_sha256: str, data_version: str, data: bytes) -> str:
        """Where the snapshot is kept; one of the same model and data version is replaced."""
        if not _DATA_VERSION.fullmatch(data_version):
            raise ValueError(f"data version {data_version!r} is not YYYY-MM.<12 hex digits>")
        name = f"{_snapshots(model_sha256)}/{data_version}{_SUFFIX}"
        self._files.write(name, data)
        return f"{self.root}/{name}"

    def newest_snapshot(self, model_sha256: str, size_bytes: int = -1) -> tuple[str, bytes]:
        """Data version and bytes of the model's snapshot of the latest month, by creation within a month.

        Args:
            model_sha256: Of the model's bundle.
            size_bytes: Read at most the first so many; `HEAD_BYTES` are enough to tell one from another.

        Raises:
            SnapshotNotFound: The model has none.
        """
        folder = _snapshots(model_sha256)
        stems = [name.removesuffix(_SUFFIX) for name in self._files.names(folder) if name.endswith(_SUFFIX)]
        found = [stem for stem in stems if _DATA_VERSION.fullmatch(stem)]
        if not found:
            raise self._no_snapshot(model_sha256)
        month = max(found)[:7]
        latest = [stem for stem in found if stem.startswith(month)]
        try:
            newest = latest[0] if len(latest) == 1 else max(latest, key=lambda stem: self._age(folder, stem))
            return newest, self._files.read(f"{folder}/{newest}{_SUFFIX}", size_bytes)
        except FileNotFoundError as error:  # removed since it was listed
            raise self._no_snapshot(model_sha256) from error

    def put_quality(self, data: bytes) -> None:
        """Keep the newest report of the quality gate."""
        self._files.write(QUALITY, data)

    def quality(self) -> bytes | None:
        """The newest report of the quality gate, None before the first."""
        try:
            return self._files.read(QUALITY)
        except FileNotFoundError:
            return None

    def _no_snapshot(self, model_sha256: str) -> SnapshotNotFound:
        return SnapshotNotFound(
            f"model {model_sha256[:12]} has no snapshot in {self.root}; run `python -m ml forecast`"
        )

    def _age(self, folder: str, stem: str) -> tuple[bytes, str]:
        """When it was made, as written in its head, then its name; a broken one is never newer than a whole one."""
        found = _CREATED_AT.search(self._files.read(f"{folder}/{stem}{_SUFFIX}", HEAD_BYTES))
        return (b"" if found is None else found[1]), stem


def _bundle(sha256: str) -> str:
    return f"bundles/{_checked(sha256)}.tar"


def _snapshots(model_sha256: str) -> str:
    return f"snapshots/{_checked(model_sha256)}"


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ModelNotFound(f"{sha256!r} is not a sha256 in lower-case hex")
    return sha256
