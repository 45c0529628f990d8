"""Delta tables as files: what a commit records, how a version is scanned, which files it has, and their upkeep.

`ml.lake` reads and writes rows; with it this is the only module that imports `deltalake`.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction

from ml.columns import LOGGED, Schema

NEW: Final = -1
"""The version of a table before its first write."""

_KEEP_LOG: Final = {"delta.logRetentionDuration": "interval 3650 days"}


@dataclass(frozen=True)
class Terms:
    """What a commit records beside its rows, and on which version of the table it must stand (None: any)."""

    txn: tuple[str, int] | None = None
    onto: int | None = None
    note: Mapping[str, str] | None = None

    def properties(self) -> CommitProperties:
        """The same as Delta takes it; a commit that must stand on one version is not tried again on the next."""
        return CommitProperties(
            custom_metadata=None if self.note is None else dict(self.note),
            max_commit_retries=None if self.onto is None else 0,
            app_transactions=None if self.txn is None else [Transaction(*self.txn)],
        )


@dataclass(frozen=True)
class Size:
    """Files of a table's newest version, and their bytes."""

    files: int
    bytes: int


def configuration(table: str) -> dict[str, str | None]:
    """Of a new table. Smallest and largest values in Delta's log outlive the rows, so none that tells of a person."""
    logged = {"delta.dataSkippingStatsColumns": ",".join(LOGGED[table])} if table in LOGGED else {}
    return cast("dict[str, str | None]", _KEEP_LOG | logged)


def schema_of(delta: DeltaTable) -> pl.Schema:
    """Columns and types of a table."""
    return pl.Schema(delta.schema().to_arrow())


def scan(delta: DeltaTable, known: Schema) -> pl.LazyFrame:
    """The files of one version, with null in columns that a file or the table was written without.

    `pl.scan_delta` takes the table's URI for a path, and finds nothing in a folder with a space in its name.
    """
    schema = schema_of(delta)
    unwritten = [pl.lit(None, kind).alias(name) for name, kind in known.items() if name not in schema]
    if not (files := files_of(delta)):
        return pl.LazyFrame(schema=schema).with_columns(unwritten)
    return scan_files(files, delta).with_columns(unwritten)


def scan_files(files: Iterable[Path], delta: DeltaTable, path_as: str | None = None) -> pl.LazyFrame:
    """Data files of a table, of whichever version, in its columns, and each row's file in a column `path_as`."""
    schema = schema_of(delta)
    partitions = {name: schema[name] for name in delta.metadata().partition_columns}
    return pl.scan_parquet(
        list(files),
        hive_partitioning=bool(partitions),
        hive_schema=partitions or None,
        schema={name: kind for name, kind in schema.items() if name not in partitions},
        missing_columns="insert",
        glob=False,
        include_file_paths=path_as,
    ).select([*schema, *([] if path_as is None else [path_as])])


def files_of(delta: DeltaTable) -> list[Path]:
    """The data files of its version."""
    return [Path(unquote(uri)) for uri in delta.file_uris()]


def size_of(delta: DeltaTable) -> Size:
    """How much its version holds."""
    files = files_of(delta)
    return Size(len(files), sum(file.stat().st_size for file in files))


def notes_of(delta: DeltaTable) -> list[dict[str, Any]]:
    """What each commit recorded, oldest first: `version`, `operation`, `timestamp` (ms) and its note's fields."""
    return sorted(delta.history(), key=lambda commit: int(commit["version"]))


def compact(delta: DeltaTable, target_bytes: int) -> None:
    """Merge small files partition by partition; the rows stay, in the order they had."""
    delta.optimize.compact(target_size=target_bytes, max_concurrent_tasks=1)


def vacuum(delta: DeltaTable, keep: Iterable[int], hours: int) -> int:
    """Remove files that neither a version of `keep` nor one of the newest `hours` has; how many.

    Files that are in no version, as a killed writer leaves them, go when they are older.
    """
    folder, versions = Path(unquote(delta.table_uri.removeprefix("file://"))), sorted(keep)
    chosen = partial(delta.vacuum, hours, enforce_retention_duration=False, full=True, keep_versions=versions)
    unneeded = [file for name in chosen(dry_run=True) if (file := folder / unquote(name)).exists()]
    if unneeded:
        chosen(dry_run=False)
    return sum(not file.exists() for file in unneeded) + remove_unfinished(folder, hours)


def rows_on_disk(delta: DeltaTable, path_as: str) -> pl.LazyFrame:
    """The rows of every data file in the table's folder, whichever version it is of, or none."""
    folder = Path(unquote(delta.table_uri.removeprefix("file://")))
    return scan_files(sorted(data_files(folder)), delta, path_as)


def remove_unfinished(folder: Path, hours: int) -> int:
    """Remove what a writer that was killed had not yet given its name, if it is older; how many files.

    Delta's own vacuum does not see these: a file is written as `<name>#<number>` and then renamed.
    """
    oldest = time.time() - 3600 * hours
    found = [file for file in folder.rglob("*#[0-9]*") if file.is_file() and file.stat().st_mtime <= oldest]
    for file in found:
        file.unlink(missing_ok=True)
    return len(found)


def data_files(folder: Path) -> list[Path]:
    """Data files below a folder, with those that no version has."""
    return [file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts]


def replace_rows(delta: DeltaTable, keys: Sequence[str], rows: pl.DataFrame, note: Mapping[str, str]) -> None:
    """Give rows other values in one commit; only files that hold one of them are written anew.

    Args:
        delta: The table.
        keys: Columns that name a row.
        rows: The keys of each row under their names, and new values in columns `new_<column>`.
        note: Kept with the commit.
    """
    values = {name.removeprefix("new_"): f"s.{name}" for name in rows.columns if name.startswith("new_")}
    delta.merge(
        rows,
        " AND ".join(f"t.{key} = s.{key}" for key in keys),
        source_alias="s",
        target_alias="t",
        commit_properties=Terms(note=note).properties(),
    ).when_matched_update(values).execute()


def forget_in_log(delta: DeltaTable, word: bytes) -> int:
    """Take smallest and largest values out of entries of the log that hold a word; how many entries did.

    Tables of a release before `LOGGED` have values of every column there. They only serve to pass over files.
    """
    log = Path(unquote(delta.table_uri.removeprefix("file://"))) / "_delta_log"
    entries = [file for file in log.glob("*.json") if word in file.read_bytes()]
    for entry in entries:
        lines = [json.loads(line) for line in entry.read_text(encoding="utf-8").splitlines()]
        for line in lines:
            line.get("add", {}).pop("stats", None)
        unfinished = entry.with_suffix(".unfinished")
        unfinished.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        unfinished.replace(entry)
    if entries:  # every entry is kept (`_KEEP_LOG`), so checkpoints only save time
        for file in [*log.glob("*.checkpoint*.parquet"), *log.glob("_last_checkpoint")]:
            file.unlink()
    return len(entries)
