"""The lake: Delta tables by name in one folder, their rows read and written."""

import fcntl
import logging
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Self

import polars as pl
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError

from ml.columns import PARTITIONS, SCHEMAS, Schema
from ml.delta import NEW, Terms, configuration, files_of, scan, schema_of
from ml.errors import LakeMoved, StoreUnavailable, VersionGone

_LOG = logging.getLogger(__name__)
__all__ = ["NEW", "Lake"]
_ANY: Final = Terms()
_ROWS_ADDED: Final = ("num_added_rows", "num_target_rows_inserted")
"""What a write and a merge call the rows that they add."""


class Lake:
    """Delta tables by name, each with versions; a write is in whole or not at all.

    Tables named in `ml.columns.SCHEMAS` are read and written in exactly that schema; of others the first write
    decides. A newer release may have added columns: they are not read, and are null in what is written here. Rows
    from before a column was added have null in it.

    Args:
        root: The folder.
        then: Versions by table: the lake as it was, which has these tables and cannot be written, see `at`.

    Raises:
        StoreUnavailable: From every method, when the folder cannot be read or written (read-only, full,
            gone). A refused write leaves no file behind.
    """

    def __init__(self, root: Path, then: Mapping[str, int] | None = None) -> None:
        self.root, self._then = root, then
        self._thread_lock = threading.RLock()
        self._depth = 0

    def at(self, versions: Mapping[str, int]) -> Self:
        """The lake as it was when its tables had these versions; it had no others.

        Reading one of which files were removed raises `VersionGone`.
        """
        return type(self)(self.root, versions)

    def tables(self) -> list[str]:
        """Names of the tables that were written, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(
            folder.name for folder in self.root.iterdir() if folder.is_dir() and self.exists(folder.name)
        )

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

    def files(self, table: str, version: int | None = None) -> list[Path]:
        """The data files of a version, also of those that were removed since; none before the first write."""
        delta = self._open(table, version)
        return [] if delta is None else files_of(delta)

    def rows_added(self, table: str, since: datetime) -> int:
        """Rows that commits have added since an aware instant, as the table's own history tells it."""
        delta = self._open(table)
        with self._errors():
            commits = [] if delta is None else delta.history()
        new = [commit for commit in commits if commit["timestamp"] >= since.timestamp() * 1000]
        told = [commit.get("operationMetrics", {}) for commit in new]
        return sum(int(metrics.get(name, 0)) for metrics in told for name in _ROWS_ADDED)

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, version: int | None = None
    ) -> pl.LazyFrame:
        """The rows in no particular order; none of a known table that was not written yet."""
        delta = self._open(table, version)
        if delta is None and table not in SCHEMAS:
            raise StoreUnavailable(
                f"lake {str(self.root)!r} has no table {table!r}; run the step that writes it"
            )
        if delta is not None and (version is not None or self._then is not None):
            self._check_files(table, delta)
        frame = pl.LazyFrame(schema=SCHEMAS[table]) if delta is None else scan(delta, SCHEMAS.get(table, {}))
        chosen = SCHEMAS.get(table) if columns is None else columns
        return frame if chosen is None else frame.select(list(chosen))

    def append(
        self,
        table: str,
        frame: pl.DataFrame,
        txn: tuple[str, int] | None = None,
        *,
        onto: int | None = None,
        note: Mapping[str, str] | None = None,
    ) -> None:
        """Add rows in one commit that also records the application transaction `(app_id, version)`.

        Args:
            table: Its name.
            frame: The rows.
            txn: The application transaction.
            onto: The version that the rows were made for, `NEW` for none yet; also holds against writers whom
                `lock` does not reach.
            note: Kept with the commit, see `ml.delta.notes_of`.

        Raises:
            LakeMoved: The table has another version than `onto`; nothing was added.
        """
        self._write(table, frame, "append", Terms(txn, onto, note))

    def overwrite(self, table: str, frame: pl.DataFrame) -> None:
        """Replace all rows in one commit; older versions stay readable."""
        self._write(table, frame, "overwrite", _ANY)

    @contextmanager
    def delta(self, table: str) -> Iterator[DeltaTable]:
        """The table for its upkeep (`ml.delta`), held against other writers.

        Raises:
            StoreUnavailable: It was never written, or what is done with it fails.
        """
        with self.lock(), self._errors():
            yield DeltaTable(self._path(table))

    def restore(self, table: str, version: int | None) -> None:
        """Make the rows those of an older `version` again, as one more commit; None removes the table."""
        with self.lock(), self._errors():
            if version is None:
                shutil.rmtree(self._path(table), ignore_errors=True)
            elif self.version(table) != version:
                DeltaTable(self._path(table)).restore(
                    version, commit_properties=CommitProperties(max_commit_retries=0)
                )

    def missing(self, table: str, schema: Schema) -> Schema:
        """Columns of the schema that the table, once written, does not have."""
        delta = self._open(table)
        have = schema if delta is None else schema_of(delta)
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
            if version is None and self._then is not None:
                version = self._then.get(table, NEW)
            if version == NEW or not DeltaTable.is_deltatable(str(self._path(table))):
                return None
            return DeltaTable(self._path(table), version=version)

    def _check_files(self, table: str, delta: DeltaTable) -> None:
        gone = sum(not file.exists() for file in files_of(delta))
        if gone:
            raise VersionGone(str(self.root), table, delta.version(), gone)

    def _write(
        self,
        table: str,
        frame: pl.DataFrame,
        mode: Literal["append", "overwrite"],
        terms: Terms,
    ) -> None:
        if self._then is not None:
            raise ValueError(f"the lake as it was cannot be written, table {table!r} neither")
        if (schema := SCHEMAS.get(table)) is not None and dict(frame.schema) != dict(schema):
            raise ValueError(f"table {table!r} has columns {dict(schema)}, got {dict(frame.schema)}")
        with self.lock():
            frame = self._fitted(table, frame)
            before, files = self.version(table), self._files(table)
            try:
                with self._errors():
                    self._commit(table, frame, mode, terms)
            except StoreUnavailable as error:
                self._refuse_if_moved(table, terms.onto, error)
                self._clean_up(table, before, files, error)

    def _fitted(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with null in the columns that only the table has."""
        if (delta := self._open(table)) is None:
            return frame
        have = schema_of(delta)
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
        terms: Terms = _ANY,
    ) -> None:
        known = terms.onto not in (None, NEW)
        write_deltalake(
            DeltaTable(self._path(table), version=terms.onto) if known else self._path(table),
            frame,
            mode="error" if terms.onto == NEW else mode,
            partition_by=PARTITIONS.get(table),
            configuration=None if known else configuration(table),
            commit_properties=terms.properties(),
        )

    def _refuse_if_moved(self, table: str, onto: int | None, error: StoreUnavailable) -> None:
        """What the loser of a race wrote lies there unread until `retain`: nobody knows whose file is whose."""
        created = onto == NEW and self.exists(table)
        if created or (onto is not None and isinstance(error.__cause__, CommitFailedError)):
            raise LakeMoved(table, onto, self.version(table)) from error

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


def _flock(descriptor: int, root: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _LOG.info("lake_lock_wait", extra={"lake": str(root)})
        fcntl.flock(descriptor, fcntl.LOCK_EX)
