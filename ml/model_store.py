"""Bundles and forecast snapshots, each under a name that says what is in it."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from ml import signatures
from ml.bucket import Bucket
from ml.errors import BundleRefused, ModelNotFound, SnapshotNotFound, StoreUnavailable
from ml.folder import Folder
from ml.location import location

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATA_VERSION = re.compile(r"\d{4}-\d{2}\.[0-9a-f]{12}")
_CREATED_AT = re.compile(rb'"created_at": ?"([^"\\]{1,40})"')
_SUFFIX = ".jsonl"
QUALITY, DRIFT = "reports/quality.json", "reports/drift.json"
EVALUATION, DELIVERY = "reports/evaluation.json", "reports/delivery.json"
DRIFT_PICTURE = "reports/drift.html"
DRAWN = "drawn"
"""What the verdict on drift says of its picture when it is in the store."""

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

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, without it; "" is the root."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes under this name."""
        ...


class StoreSettings(Protocol):
    """Where a store is and whose keys it takes, as in `ml.settings.MlSettings`."""

    @property
    def model_store(self) -> Path | str:
        """Folder or `s3://BUCKET/PREFIX`."""
        ...

    @property
    def signing_key_file(self) -> Path | None:
        """Signs what is written."""
        ...

    @property
    def signers_file(self) -> Path | None:
        """Must have signed what is read."""
        ...


class ModelStore:
    """A folder or `s3://bucket/prefix` with `bundles/<sha256>.tar` and `snapshots/<model sha256>/<data version>.jsonl`.

    The newest reports are `reports/quality.json` of the quality gate, `reports/drift.json`, `reports/evaluation.json`
    on past forecasts and `reports/delivery.json` on deliveries; `reports/drift.html` is Evidently's picture of the
    newest verdict that has one; `picture` in `reports/drift.json` says whether that is the one it tells of. What
    products sold before a snapshot is in `past/<data version>/` beside it, see `ml.past`.

    A file appears whole or not at all, and one copied from folder to bucket is the same there. A reader in S3 needs
    `s3:GetObject` on the prefix and `s3:ListBucket` on the bucket, a writer `s3:PutObject` besides.

    Args:
        root: Where it is.
        signing_key: Private key that signs what is written, see `ml.signatures`; nothing is signed without.
        signers: Public keys, one of which must have signed what is read; whoever wrote it is believed without.

    Raises:
        StoreUnavailable: From every method, when the disk or S3 does not answer or refuses, or a key cannot be read.
    """

    def __init__(
        self, root: Path | str, *, signing_key: Path | None = None, signers: Path | None = None
    ) -> None:
        self.root = location(root)
        self._signing_key, self._signers = signing_key, signers
        self._files: Files = Folder(self.root) if isinstance(self.root, Path) else Bucket(self.root)

    @classmethod
    def of(cls, settings: StoreSettings) -> Self:
        """The store of the settings, with their keys."""
        return cls(settings.model_store, signing_key=settings.signing_key_file, signers=settings.signers_file)

    def put_bundle(self, data: bytes) -> str:
        """The bundle's sha256, under which it can be read once this returns.

        One that is there already has the same bytes; were it damaged, it is whole again.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        self._write(_bundle(sha256), data)
        return sha256

    def get_bundle(self, sha256: str) -> bytes:
        """The bundle's bytes, which have this sha256.

        Raises:
            ModelNotFound: No such bundle here.
            BundleRefused: The stored bytes have another digest, or no signature that counts.
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
        self._check(name, data)
        return data

    def put_snapshot(self, model_sha256: str, data_version: str, data: bytes) -> str:
        """Where the snapshot is kept; one of the same model and data version is replaced."""
        if not _DATA_VERSION.fullmatch(data_version):
            raise ValueError(f"data version {data_version!r} is not YYYY-MM.<12 hex digits>")
        name = f"{_snapshots(model_sha256)}/{data_version}{_SUFFIX}"
        self._write(name, data)
        return f"{self.root}/{name}"

    def newest_snapshot(self, model_sha256: str, size_bytes: int = -1) -> tuple[str, bytes]:
        """Data version and bytes of the model's snapshot of the latest month, by creation within a month.

        Args:
            model_sha256: Of the model's bundle.
            size_bytes: Read at most the first so many; `HEAD_BYTES` are enough to tell one from another. Only the
                whole is checked for its signature.

        Raises:
            SnapshotNotFound: The model has none.
            BundleRefused: It has no signature that counts.
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
            name = f"{folder}/{newest}{_SUFFIX}"
            data = self._files.read(name, size_bytes)
        except FileNotFoundError as error:  # removed since it was listed
            raise self._no_snapshot(model_sha256) from error
        if size_bytes < 0:
            self._check(name, data)
        return newest, data

    def put_past(self, model_sha256: str, data_version: str, parts: Sequence[bytes]) -> None:
        """Keep the past of a snapshot's products, see `ml.past`; before the snapshot, whose reader finds it then."""
        for part, data in enumerate(parts):
            self._write(_past(model_sha256, data_version, part), data)

    def past(self, model_sha256: str, data_version: str, part: int) -> bytes:
        """One part of it.

        Raises:
            SnapshotNotFound: It is not here.
            BundleRefused: It has no signature that counts.
        """
        name = _past(model_sha256, data_version, part)
        data = self._read_if_there(name)
        if data is None:
            raise SnapshotNotFound(f"{self.root} has no {name}; run `python -m ml forecast`")
        self._check(name, data)
        return data

    def sign(self, model_sha256: str) -> list[str]:
        """Names of the bundle and its newest snapshot, which are signed from now on; signatures are not asked for.

        Raises:
            ModelNotFound, SnapshotNotFound: One of them is not here; nothing was signed.
            BundleRefused: The bundle has another digest.
            StoreUnavailable: There is no key to sign with.
        """
        if self._signing_key is None:
            raise StoreUnavailable("there is no key to sign with; name its file in ML_SIGNING_KEY_FILE")
        unchecked = ModelStore(self.root)
        bundle = unchecked.get_bundle(model_sha256)
        data_version, snapshot = unchecked.newest_snapshot(model_sha256)
        found = {
            _bundle(model_sha256): bundle,
            f"{_snapshots(model_sha256)}/{data_version}{_SUFFIX}": snapshot,
        }
        for name, data in found.items():
            self._sign(name, data)
        return list(found)

    def put_report(self, name: str, data: bytes) -> None:
        """Keep the newest report of a name, one of the constants of this module."""
        self._files.write(name, data)

    def report(self, name: str) -> bytes | None:
        """The newest report of the name, None before the first."""
        return self._read_if_there(name)

    def _write(self, name: str, data: bytes) -> None:
        self._sign(name, data)
        self._files.write(name, data)

    def _sign(self, name: str, data: bytes) -> None:
        """Before the file itself and by the digest of its bytes: no reader finds one without the other."""
        if self._signing_key is not None:
            sha256 = hashlib.sha256(data).hexdigest()
            self._files.write(_signature(sha256), signatures.attestation(name, sha256, self._signing_key))

    def _check(self, name: str, data: bytes) -> None:
        if self._signers is not None:
            sha256 = hashlib.sha256(data).hexdigest()
            signatures.check(name, sha256, self._read_if_there(_signature(sha256)), self._signers)

    def _read_if_there(self, name: str) -> bytes | None:
        try:
            return self._files.read(name)
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


def _signature(sha256: str) -> str:
    return f"signatures/{sha256}.json"


def _snapshots(model_sha256: str) -> str:
    return f"snapshots/{_checked(model_sha256)}"


def _past(model_sha256: str, data_version: str, part: int) -> str:
    return f"{_snapshots(model_sha256)}/past/{data_version}/{part}.json"


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ModelNotFound(f"{sha256!r} is not a sha256 in lower-case hex")
    return sha256
