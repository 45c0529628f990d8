"""Upkeep of the lake: small files become large ones, and files that nobody needs any more go."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from ml import delta
from ml.delta import Size
from ml.errors import UnknownDataVersion
from ml.lake import Lake
from ml.version_table import Note, mark_lost, notes, without_files

TARGET_BYTES: Final = 128 * 1024 * 1024


@dataclass(frozen=True)
class Compacted:
    """One table's newest version before and after; the same where there was nothing to merge."""

    table: str
    before: Size
    after: Size

    def to_json(self) -> dict[str, object]:
        """The same as plain values for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class Retained:
    """What a clean-up removed and kept.

    Attributes:
        removed_files: By table, where there were any.
        removed_bytes: Of all tables.
        kept: Of the data versions that were to be kept, those from which retention has never taken anything; an
            erasure may have.
        lost: Data versions that cannot be made again since this clean-up.
        unknown: Names that were to be kept and that the lake does not have.
    """

    removed_files: dict[str, int]
    removed_bytes: int
    kept: list[str]
    lost: list[str]
    unknown: list[str]

    def to_json(self) -> dict[str, object]:
        """The same as plain values for `json.dumps`."""
        return asdict(self)


def compact(lake: Lake, target_bytes: int = TARGET_BYTES) -> list[Compacted]:
    """Merge the small files of each partition of each table; the rows stay what they were.

    Each table is one commit, made beside what older versions read: they stay readable until `retain`. A writer waits
    for it; one that the lock does not reach writes onto the new version. Run again it finds nothing to do.

    Args:
        lake: The lake.
        target_bytes: Files of about this size are made; larger ones are left alone.

    Raises:
        StoreUnavailable: The lake cannot be written; its rows are what they were.
    """
    return [_compacted(lake, table, target_bytes) for table in lake.tables()]


def retain(
    lake: Lake, keep: Collection[str], days: int, now: datetime, *, ignore_unknown: bool = False
) -> Retained:
    """Remove files that no kept data version and no version of the newest days needs.

    Also goes what a killed writer left. Data versions that cannot be made again afterwards are marked so.

    Args:
        lake: The lake.
        keep: Names of data versions of which every table stays readable.
        days: Versions of the newest days stay readable; at least 1 where a writer may run whom the lake's lock does
            not reach, whose files are in no version yet.
        now: Aware instant of the marks.
        ignore_unknown: Go on without names that the lake does not have.

    Raises:
        UnknownDataVersion: A name to keep is not known; nothing was removed.
        StoreUnavailable: The lake cannot be written; what was removed is not needed.
    """
    with lake.lock():
        known = notes(lake)
        unknown = sorted(set(keep) - {note.name for note in known})
        if unknown and not ignore_unknown:
            raise UnknownDataVersion(unknown[0])
        kept = [note for note in known if note.name in keep]
        before = _bytes(lake)
        removed = {table: _vacuumed(lake, table, kept, days) for table in lake.tables()}
        lost = mark_lost(lake, without_files(lake), "retention", now)
        return Retained(
            removed_files={table: files for table, files in removed.items() if files},
            removed_bytes=max(0, before - _bytes(lake)),
            kept=sorted({note.name for note in notes(lake) if note.name in keep and _is_kept(note)}),
            lost=lost,
            unknown=unknown,
        )


def _is_kept(note: Note) -> bool:
    return "retention" not in note.lost.values()


def _compacted(lake: Lake, table: str, target_bytes: int) -> Compacted:
    with lake.delta(table) as opened:
        before = delta.size_of(opened)
        delta.compact(opened, target_bytes)
    with lake.delta(table) as opened:
        return Compacted(table, before, delta.size_of(opened))


def _vacuumed(lake: Lake, table: str, kept: Iterable[Note], days: int) -> int:
    with lake.delta(table) as opened:
        return delta.vacuum(opened, {note.tables[table] for note in kept if table in note.tables}, 24 * days)


def _bytes(lake: Lake) -> int:
    return sum(file.stat().st_size for file in delta.data_files(lake.root))
