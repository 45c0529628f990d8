"""What is backed up, in the order in which nothing that is named is missing, and how it comes back.

The registry names bundles and data versions, so it is read before the model store and the lake. The lake says how far
it has read the inbox, so it is read before the inbox: what came in between is read again from there, each event once.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ml.inbox_location import DatabaseUrl, Password
from ml.lake import Lake
from ml.settings import MlSettings
from scripts.backup import databases
from scripts.backup.places import Backup, Unfinished, files_at, walked
from scripts.errors import Refused

_SQLITE: Final = "sqlite:///"
REGISTRY, ARTIFACTS, MODELS, LAKE, INBOX, OTHERS, PLACES = (
    "registry",
    "artifacts",
    "models",
    "lake",
    "inbox",
    "databases",
    "places",
)


@dataclass(frozen=True)
class Others:
    """What is named beside the pipeline's own places.

    Attributes:
        databases: PostgreSQL databases by name, such as the on-call service's; libpq finds their passwords.
        places: Folders or S3 prefixes by name, such as that of a registry's artifacts.
    """

    databases: Mapping[str, DatabaseUrl] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


NOTHING: Final = Others()


def make(settings: MlSettings, others: Others, backup: Unfinished, tell: Callable[[str], object]) -> None:
    """Put every part into a backup."""
    tracking = _tracking(settings)
    backup.told[REGISTRY] = {"artifacts": settings.artifacts.as_uri(), "kept": tracking is not None}
    if tracking is not None and tracking.exists():
        backup.put(f"{REGISTRY}/mlflow.sqlite", databases.sqlite_copy(tracking))
        _put_tree(backup, ARTIFACTS, settings.artifacts)
    tell(REGISTRY)
    for name, url in others.databases.items():
        backup.put(f"{OTHERS}/{name}.dump", databases.dumped(url, None))
    tell(OTHERS)
    for name, place in others.places.items():
        backup.told.setdefault(PLACES, []).append(name)
        there = files_at(place)
        for file in walked(there):
            backup.put(f"{PLACES}/{name}/{file}", there.read(file))
    tell(PLACES)
    store = files_at(settings.model_store)
    for name in walked(store):
        backup.put(f"{MODELS}/{name}", store.read(name))
    tell(MODELS)
    lake = Lake(settings.lake)
    if settings.lake.exists():
        with lake.lock():
            _put_tree(backup, LAKE, settings.lake)
            backup.told[LAKE] = {table: lake.version(table) for table in lake.tables()}
    tell(LAKE)
    _put_inbox(backup, settings)
    tell(INBOX)


def restore(settings: MlSettings, others: Others, backup: Backup, tell: Callable[[str], object]) -> None:
    """Bring every part back into an empty place.

    Raises:
        Refused: Something is there already, or the backup is damaged or holds what was not named.
    """
    _refuse_used(settings, others, backup)
    for name, url in others.databases.items():
        databases.restore_dump(url, None, backup.read(f"{OTHERS}/{name}.dump"))
    tell(OTHERS)
    for name, place in others.places.items():
        _write_tree(backup, f"{PLACES}/{name}", place)
    tell(PLACES)
    store = files_at(settings.model_store)
    for name in backup.manifest.of_part(MODELS):
        store.write(name, backup.read(f"{MODELS}/{name}"))
    tell(MODELS)
    _write_tree(backup, LAKE, settings.lake)
    lake = Lake(settings.lake)
    versions = {table: lake.version(table) for table in lake.tables()}
    if versions != backup.manifest.told.get(LAKE, {}):
        raise Refused("damaged", f"the lake has versions {versions}, the backup says otherwise")
    tell(LAKE)
    _restore_inbox(settings, backup)
    tell(INBOX)
    _restore_registry(settings, backup)
    tell(REGISTRY)


def _tracking(settings: MlSettings) -> Path | None:
    uri = settings.tracking_uri
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def _put_tree(backup: Unfinished, part: str, root: Path) -> None:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.relative_to(root).as_posix() != ".lock":
            backup.put(f"{part}/{path.relative_to(root).as_posix()}", path.read_bytes())


def _write_tree(backup: Backup, part: str, root: Path | str) -> None:
    there = files_at(root)
    for name in backup.manifest.of_part(part):
        there.write(name, backup.read(f"{part}/{name}"))


def _put_inbox(backup: Unfinished, settings: MlSettings) -> None:
    if isinstance(settings.inbox, DatabaseUrl):
        backup.put(f"{INBOX}/inbox.dump", databases.dumped(settings.inbox, settings.inbox_login.read()))
    elif settings.inbox.exists():
        backup.put(f"{INBOX}/inbox.sqlite", databases.sqlite_copy(settings.inbox))


def _restore_inbox(settings: MlSettings, backup: Backup) -> None:
    for name in backup.manifest.of_part(INBOX):
        data = backup.read(f"{INBOX}/{name}")
        if isinstance(settings.inbox, DatabaseUrl):
            databases.restore_dump(settings.inbox, settings.inbox_login.read(), data)
        else:
            files_at(settings.inbox.parent).write(settings.inbox.name, data)


def _restore_registry(settings: MlSettings, backup: Backup) -> None:
    tracking = _tracking(settings)
    if tracking is None or f"{REGISTRY}/mlflow.sqlite" not in backup.manifest.files:
        return
    _write_tree(backup, ARTIFACTS, settings.artifacts)
    before, after = backup.manifest.told[REGISTRY]["artifacts"], settings.artifacts.as_uri()
    data = backup.read(f"{REGISTRY}/mlflow.sqlite")
    files_at(tracking.parent).write(tracking.name, databases.moved(data, before, after))


def _refuse_used(settings: MlSettings, others: Others, backup: Backup) -> None:
    """Before anything is written: every place is empty, and every part of the backup has one."""
    wanted = {name.removesuffix(".dump") for name in backup.manifest.of_part(OTHERS)}
    if wanted != set(others.databases):
        raise Refused("databases", f"the backup has the databases {sorted(wanted)}; name each by --database")
    places = backup.manifest.told.get(PLACES, [])  # backups of before have none
    if set(places) != set(others.places):
        raise Refused("places", f"the backup has the places {sorted(places)}; name each by --place")
    inbox = backup.manifest.of_part(INBOX)
    kind = "inbox.dump" if isinstance(settings.inbox, DatabaseUrl) else "inbox.sqlite"
    if inbox and inbox != [kind]:
        raise Refused("inbox", f"the backup has {inbox[0]}, and ML_INBOX is {settings.inbox}")
    folders = [settings.lake, settings.artifacts, *filter(None, [_tracking(settings)])]
    folders += [settings.inbox] if isinstance(settings.inbox, Path) else []
    used: list[Path | str] = [
        path for path in folders if path.is_file() or (path.is_dir() and any(path.iterdir()))
    ]
    used += [place for place in others.places.values() if any(walked(files_at(place)))]
    if used or any(walked(files_at(settings.model_store))):
        raise Refused(
            "not_empty", f"{used[0] if used else settings.model_store} is not empty; name an empty place"
        )
    for url, password in [(each, Password()) for each in others.databases.values()] + (
        [(settings.inbox, settings.inbox_login)] if isinstance(settings.inbox, DatabaseUrl) else []
    ):
        databases.refuse_used(url, password.read())


def shown(backup: Backup) -> dict[str, Any]:
    """What a backup holds, in numbers."""
    parts = (REGISTRY, ARTIFACTS, OTHERS, PLACES, MODELS, LAKE, INBOX)
    return {
        "backup": backup.name,
        "files": {part: len(backup.manifest.of_part(part)) for part in parts},
        "tables": json.loads(json.dumps(backup.manifest.told.get(LAKE, {}))),
    }
