"""Where backups are kept: folders of files with a manifest that is written last, in a folder or under an S3 prefix."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ml.bucket import Bucket
from ml.folder import Folder
from ml.location import location
from ml.model_store import Files
from scripts.errors import Refused

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
_NAME: Final = re.compile(r"\d{8}T\d{6}Z")


def files_at(place: Path | str) -> Files:
    """Named files in a folder or under `s3://BUCKET/PREFIX`."""
    where = location(place)
    return Folder(where) if isinstance(where, Path) else Bucket(where)


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Attributes:
        files: sha256 of the bytes by name.
        told: What each part says of itself, by part.
    """

    files: Mapping[str, str]
    told: Mapping[str, Any]

    def of_part(self, part: str) -> list[str]:
        """Names of the files of a part, without it."""
        return sorted(name.removeprefix(f"{part}/") for name in self.files if name.startswith(f"{part}/"))


class Unfinished:
    """A backup that is being made; before `finish` no reader sees it."""

    def __init__(self, files: Files, name: str) -> None:
        self._files, self._name = files, name
        self._digests: dict[str, str] = {}
        self.told: dict[str, Any] = {}

    def put(self, name: str, data: bytes) -> None:
        """Keep a file."""
        self._digests[name] = hashlib.sha256(data).hexdigest()
        self._files.write(f"{self._name}/{name}", data)

    def finish(self) -> Manifest:
        """Make it a backup."""
        manifest = {"format": FORMAT, "files": dict(sorted(self._digests.items())), "told": self.told}
        self._files.write(f"{self._name}/{MANIFEST}", json.dumps(manifest, indent=1).encode())
        return Manifest(self._digests, self.told)


def walked(files: Files, folder: str = "") -> Iterator[str]:
    """Names of all files in and below a folder, sorted within each; hidden ones are somebody's unfinished writes."""
    inside, below = f"{folder}/" if folder else "", sorted(files.folders(folder))
    for name in sorted(set(files.names(folder)) - set(below)):
        if not name.startswith("."):
            yield f"{inside}{name}"
    for name in below:
        yield from walked(files, f"{inside}{name}")


def names(files: Files) -> list[str]:
    """Finished backups, oldest first; one without its manifest is none."""
    found = sorted(name for name in files.folders("") if _NAME.fullmatch(name))
    return [name for name in found if MANIFEST in files.names(name)]


class Backup:
    """A finished backup.

    Args:
        files: Where backups are.
        name: Of one, None for the newest.

    Raises:
        Refused: There is no such finished backup, or it is of a newer format.
    """

    def __init__(self, files: Files, name: str | None = None) -> None:
        there = names(files)
        if not there or name not in {None, *there}:
            shown = ", ".join(there[-3:]) or "none"
            raise Refused("no_backup", f"{files} has no finished backup {name or ''}; there is: {shown}")
        self._files, self.name = files, name or there[-1]
        manifest = json.loads(files.read(f"{self.name}/{MANIFEST}"))
        if manifest["format"] > FORMAT:
            raise Refused(
                "newer_backup", f"{self.name} has format {manifest['format']}; take a newer release"
            )
        self.manifest = Manifest(manifest["files"], manifest["told"])

    def read(self, name: str) -> bytes:
        """A file's bytes, which have the sha256 of the manifest.

        Raises:
            Refused: They have not, or the file is gone.
        """
        try:
            data = self._files.read(f"{self.name}/{name}")
        except FileNotFoundError:
            raise Refused("damaged", f"{self.name}/{name} is gone; take another backup") from None
        if hashlib.sha256(data).hexdigest() != self.manifest.files[name]:
            raise Refused("damaged", f"{self.name}/{name} was changed; take another backup")
        return data


def copied(backup: Backup, target: Files) -> Backup:
    """The same backup at another place, read back there; one that is there already is read all the same.

    Raises:
        Refused: A file is not what the manifest says, here or there.
    """
    if backup.name not in names(target):
        unfinished = Unfinished(target, backup.name)
        for name in backup.manifest.files:
            unfinished.put(name, backup.read(name))
        unfinished.told |= backup.manifest.told
        unfinished.finish()
    there = Backup(target, backup.name)
    for name in there.manifest.files:
        there.read(name)
    return there
