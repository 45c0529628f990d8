"""The table of data versions: which Delta versions of which tables each was made of, and what is lost of them."""

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import polars as pl

from ml.columns import DATA_VERSION_SCHEMA, UNREPRODUCIBLE_SCHEMA
from ml.data_version import DataVersion, data_version_of
from ml.errors import UnknownDataVersion
from ml.history import History
from ml.lake import Lake

HISTORY_TABLES: Final = ("panel", "plan", "stock")
"""What a history is read from: with these a model is trained again."""

EVENT_TABLES: Final = ("events", "set_aside")
"""What a panel is built from."""

READ_TABLES: Final = (*EVENT_TABLES, *HISTORY_TABLES, "quarantine", "quality_reports")
"""Every table that a panel, a training or a forecast reads; a model is kept with counts of the quarantine."""

Reason = Literal["erasure", "retention"]


@dataclass(frozen=True)
class Note:
    """A data version and the Delta versions it was made of.

    The same numbers can be made again of other Delta versions, for example after a compaction. A version is noted
    again when what it was first made of is lost.

    Attributes:
        tables: Delta version by table; a table that is not named did not exist.
        lost: Why a table's version cannot be read any more, by table.
    """

    name: str
    digest: str
    last_month: str
    tables: Mapping[str, int]
    created_at: datetime
    lost: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Whether the panel can be built again from its events, and a model trained again on the panel."""
        return self.trainable and not any(table in self.lost for table in EVENT_TABLES)

    @property
    def trainable(self) -> bool:
        """Whether a model can be trained again on the same numbers."""
        return not any(table in self.lost for table in HISTORY_TABLES)


def note(lake: Lake, history: History, now: datetime, *, built: bool = False) -> DataVersion:
    """The history's data version, noted with the Delta versions of now if it is new.

    One that was just `built` from the events of now is noted again when what it was made of before is lost.
    """
    version = data_version_of(history)
    known = [each for each in notes(lake) if each.digest == version.digest]
    if not any(each.whole or not built for each in known):
        tables = {table: lake.version(table) for table in READ_TABLES if lake.exists(table)}
        row = asdict(version) | {"tables": json.dumps(tables, sort_keys=True), "created_at": now}
        lake.append("data_versions", pl.DataFrame([row], schema=DATA_VERSION_SCHEMA))
    return version


def notes(lake: Lake) -> list[Note]:
    """Every note, oldest first."""
    lost: dict[tuple[str, str], dict[str, str]] = {}
    for name, tables, table, reason in _marks(lake).iter_rows():
        lost.setdefault((name, tables), {})[table] = reason
    return [
        Note(
            **row | {"tables": json.loads(row["tables"]), "lost": lost.get((row["name"], row["tables"]), {})}
        )
        for row in lake.read("data_versions").sort("created_at").collect().to_dicts()
    ]


def named(lake: Lake, name: str) -> Note:
    """The best note of a data version: the newest whole one, else the newest trainable one, else the newest.

    Raises:
        UnknownDataVersion: The lake has none of this name.
    """
    found = [known for known in notes(lake) if known.name == name]
    if not found:
        raise UnknownDataVersion(name)
    return max(found, key=lambda known: (known.whole, known.trainable, known.created_at))


def mark_lost(lake: Lake, lost: Iterable[tuple[Note, str]], reason: Reason, now: datetime) -> list[str]:
    """Write down notes whose version of a table cannot be read any more, each once; the names that are new.

    The caller holds the lake's lock.
    """
    rows = [
        {
            "name": note.name,
            "tables": json.dumps(note.tables, sort_keys=True),
            "lost": table,
            "reason": reason,
        }
        for note, table in lost
        if table not in note.lost
    ]
    if rows:
        frame = pl.DataFrame([row | {"at": now} for row in rows], schema=UNREPRODUCIBLE_SCHEMA)
        lake.append("unreproducible", frame)
    return sorted({str(row["name"]) for row in rows})


def with_files(lake: Lake, files: AbstractSet[Path]) -> list[tuple[Note, str]]:
    """Notes and their tables of which some of these files are part."""
    return [
        (note, table)
        for note in notes(lake)
        for table, version in note.tables.items()
        if not files.isdisjoint(lake.files(table, version))
    ]


def without_files(lake: Lake) -> list[tuple[Note, str]]:
    """Notes and their tables of which files are not there any more."""
    return [
        (note, table)
        for note in notes(lake)
        for table, version in note.tables.items()
        if not all(file.exists() for file in lake.files(table, version))
    ]


def _marks(lake: Lake) -> pl.DataFrame:
    return lake.read("unreproducible").sort("at").select("name", "tables", "lost", "reason").collect()
