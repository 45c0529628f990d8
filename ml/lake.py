"""The lake: Delta tables in one folder; the only module that imports `deltalake`."""

import fcntl
import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError

from ml.columns import PARTITIONS, SCHEMAS, Schema
from ml.errors import StoreUnavailable

_LOG = logging.getLogger(__name__)
_KEEP_HISTORY: Final = {"delta.logRetentionDuration": "interval 3650 days"}


class Lake:
    """Delta tables by name, each with versions; a write is in whole or not at all.

    Tables named in `ml.columns.SCHEMAS` are read and written in exactly that schema; of others the first write
    decides. A newer release may have added columns: they are not read, and are null in what is written here. Rows
    from before a column was added have null in it.

    Raises:
        StoreUnavailable: From every method, when the folder cannot be read or written (read-only, full,
            gone). A refused write leaves no file behind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._thread_lock = threading.RLock()
        self._depth = 0

    def exists(self, table: str) -> bool:
        """Whether the table was ever written."""
        return self.version(table) is not None

    def version(self, table: str) -> int | None:
        """The table's newest Delta version, None before the first write."""
        delta = self._open(table)
        return None if delta is None else delta.version()

    def last_txn(self, table: str, app_id: str) -> int | None:
        """The version of the newest application transaction of `app_id`, None when there was none."""
        delta = self._open(table)
        return None if delta is None else delta.transaction_version(app_id)

    def files(self, table: str) -> list[Path]:
        """The data files of the newest version; none before the first write."""
        delta = self._open(table)
        return [] if delta is None else [Path(unquote(uri)) for uri in delta.file_uris()]

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, version: int | None = None
    ) -> pl.LazyFrame:
        """The rows in no particular order; none of a known table that was not written yet."""
        delta = self._open(table, version)
        if delta is None and table not in SCHEMAS:
            raise StoreUnavailable(
                f"lake {str(self.root)!r} has no table {table!r}; run the step that writes it"
            )
        frame = pl.LazyFrame(schema=SCHEMAS[table]) if delta is None else _scan(delta, SCHEMAS.get(table, {}))
        chosen = SCHEMAS.get(table) if columns is None else columns
        return frame if chosen is None else frame.select(list(chosen))

    def append(self, table: str, frame: pl.DataFrame, txn: tuple[str, int] | None = None) -> None:
        """Add rows in one commit that also records the application transaction `(app_id, version)`."""
        self._write(table, frame, "append", txn)

    def overwrite(self, table: str, frame: pl.DataFrame) -> None:
        """Replace all rows in one commit; older versions stay readable."""
        self._write(table, frame, "overwrite", None)

    def restore(self, table: str, version: int | None) -> None:
        """Make the rows those of an older `version` again, as one more commit; None removes the table."""
        with self.lock(), self._errors():
            if version is None:
                shutil.rmtree(self._path(table), ignore_errors=True)
            elif self.version(table) != version:
                DeltaTable(self._path(table)).restore(version)

    def missing(self, table: str, schema: Schema) -> Schema:
        """Columns of the schema that the table, once written, does not have."""
        delta = self._open(table)
        have = schema if delta is None else _schema(delta)
        return {name: kind for name, kind in schema.items() if name not in have}

    def expand(self, table: str, schema: Schema) -> Schema:
        """Add the missing columns, null in every row there is, in one commit; what was added."""
        with self.lock(), self._errors():
            if added := self.missing(table, schema):
                fields = DeltaSchema.from_arrow(pl.DataFrame(schema=added).to_arrow().schema).fields
                DeltaTable(self._path(table)).alter.add_columns(fields)
            return added

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lake against other writers; waits for its turn, may nest, is freed when a process dies."""
        with self._thread_lock:
            if self._depth:
                yield
                return
            with self._errors():
                self.root.mkdir(parents=True, exist_ok=True)
                file = (self.root / ".lock").open("a")
            with file:
                _flock(file.fileno(), self.root)
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1

    def _path(self, table: str) -> Path:
        return self.root / table

    def _open(self, table: str, version: int | None = None) -> DeltaTable | None:
        with self._errors():
            if not DeltaTable.is_deltatable(str(self._path(table))):
                return None
            return DeltaTable(self._path(table), version=version)

    def _write(
        self,
        table: str,
        frame: pl.DataFrame,
        mode: Literal["append", "overwrite"],
        txn: tuple[str, int] | None,
    ) -> None:
        if (schema := SCHEMAS.get(table)) is not None and dict(frame.schema) != dict(schema):
            raise ValueError(f"table {table!r} has columns {dict(schema)}, got {dict(frame.schema)}")
        with self.lock():
            frame = self._fitted(table, frame)
            before, files = self.version(table), self._files(table)
            try:
                with self._errors():
                    self._commit(table, frame, mode, txn)
            except StoreUnavailable as error:
                self._clean_up(table, before, files, error)

    def _fitted(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with null in the columns that only the table has."""
        if (delta := self._open(table)) is None:
            return frame
        have = _schema(delta)
        if missing := [name for name in frame.columns if name not in have]:
            raise StoreUnavailable(
                f"lake {str(self.root)!r} has no column {missing[0]!r} in table {table!r}; run `python -m ml migrate`"
            )
        others = [pl.lit(None, kind).alias(name) for name, kind in have.items() if name not in frame.columns]
        return frame.with_columns(others).select(list(have))

    def _commit(
        self,
        table: str,
        frame: pl.DataFrame,
        mode: Literal["append", "overwrite"],
        txn: tuple[str, int] | None,
    ) -> None:
        write_deltalake(
            self._path(table),
            frame,
            mode=mode,
            partition_by=PARTITIONS.get(table),
            configuration=cast("dict[str, str | None]", _KEEP_HISTORY),
            commit_properties=CommitProperties(
                app_transactions=None if txn is None else [Transaction(app_id=txn[0], version=txn[1])]
            ),
        )

    def _files(self, table: str) -> set[Path]:
        return {path for path in self._path(table).rglob("*") if path.is_file()}

    def _clean_up(self, table: str, before: int | None, files: set[Path], error: StoreUnavailable) -> None:
        """Remove what a failed write left; a write that was committed before it failed stays."""
        if self.version(table) != before:
            _LOG.warning("lake_commit_kept", extra={"table": table, "error": str(error)})
            return
        for path in self._files(table) - files:
            path.unlink(missing_ok=True)
        for folder in sorted([self._path(table), *self._path(table).rglob("*/")], reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
        raise error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError) as error:
            reason = " ".join(str(error).split())
            raise StoreUnavailable(
                f"lake {str(self.root)!r} cannot be used ({reason});"
                " check the disk's free space and the folder's rights"
            ) from error


def _schema(delta: DeltaTable) -> pl.Schema:
    return pl.Schema(delta.schema().to_arrow())


def _scan(delta: DeltaTable, known: Schema) -> pl.LazyFrame:
    """The files of one version, with null in columns that a file or the table was written without.

    `pl.scan_delta` takes the table's URI for a path, and finds nothing in a folder with a space in its name.
    """
    schema = _schema(delta)
    unwritten = [pl.lit(None, kind).alias(name) for name, kind in known.items() if name not in schema]
    if not (uris := delta.file_uris()):
        return pl.LazyFrame(schema=schema).with_columns(unwritten)
    partitions = {name: schema[name] for name in delta.metadata().partition_columns}
    return (
        pl.scan_parquet(
            [unquote(uri) for uri in uris],
            hive_partitioning=bool(partitions),
            hive_schema=partitions or None,
            schema={name: kind for name, kind in schema.items() if name not in partitions},
            missing_columns="insert",
        )
        .select(list(schema))
        .with_columns(unwritten)
    )


def _flock(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _LOG.info("lake_lock_wait", extra={"lake": str(root)})
        fcntl.flock(descriptor, fcntl.LOCK_EX)
