"""Named files in a folder, each whole or not there."""

import os
import tempfile
from pathlib import Path

from ml.errors import StoreUnavailable


class Folder:
    """Files under a root, by names such as `bundles/x.tar`.

    A file is written beside its place, synced and renamed, so a killed writer leaves nothing that a
    reader could take for one. A missing file is a `FileNotFoundError`.

    Raises:
        StoreUnavailable: From every method, when the disk does not let it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def read(self, name: str, size_bytes: int = -1) -> bytes:
        """The whole file, or at most its first `size_bytes`."""
        path = self.root / name
        try:
            with path.open("rb") as file:
                return file.read(size_bytes)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreUnavailable(f"cannot read {path}: {error.strerror}") from error

    def names(self, folder: str) -> list[str]:
        """Names of the files directly in a folder, without it; none when there is no such folder."""
        return [entry.name for entry in self._entries(folder) if not entry.is_dir()]

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, without it; "" is the root."""
        return [entry.name for entry in self._entries(folder) if entry.is_dir()]

    def _entries(self, folder: str) -> list[Path]:
        path = self.root / folder
        try:
            return list(path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreUnavailable(f"cannot read {path}: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes under this name; they are on the disk when this returns."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, data)
            _sync_folder(path.parent)
        except OSError as error:
            raise StoreUnavailable(
                f"cannot write {path}: {error.strerror}; free space or choose another model store"
            ) from error


def _write(path: Path, data: bytes) -> None:
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
