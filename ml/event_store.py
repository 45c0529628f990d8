"""The inbox: accepted events on disk, in the order they were accepted, until the lake takes them.

SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives `kill -9` and a power cut.
"""

import json
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ml.errors import StoreUnavailable
from ml.events import Event

SCHEMA_VERSION = 1
"""Grows when a contract takes something away, never when something is added: older releases read on."""

REVISION = "inbox_0001"
"""The newest migration in `ml/migrations`; a file made here is as if that had made it."""

_SCHEMA = (
    """CREATE TABLE events (
        seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL UNIQUE,
        content_hash TEXT NOT NULL,
        body TEXT NOT NULL,
        source TEXT NOT NULL,
        accepted_at TEXT NOT NULL
    ) STRICT""",
    "CREATE TABLE identity (value TEXT NOT NULL) STRICT",
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
)
_NEEDED = {
    "events": {"seq", "event_id", "content_hash", "body", "source", "accepted_at"},
    "identity": {"value"},
}

Status = Literal["accepted", "duplicate", "conflict"]


@dataclass(frozen=True)
class Receipt:
    """What became of one sent event: `duplicate` has the same content as before, `conflict` other content."""

    event_id: str
    status: Status


@dataclass(frozen=True)
class StoredEvent:
    """An accepted event with its place in the order of acceptance (`seq` grows, gaps are possible)."""

    seq: int
    event: Event
    source: str
    accepted_at: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Inbox:
    """Accepted events in one SQLite file; safe to share between threads, and between processes by path.

    Writers take turns, so `seq` follows the order of commits: who has seen `seq` n misses nothing below n.
    Columns are named in every statement, so a file that a newer release added columns to is used like any.

    Args:
        create: Make the tables in a new file; otherwise only `python -m ml migrate` does.

    Raises:
        StoreUnavailable: From every method, when the file cannot be opened or written, or another writer
            holds it for longer than `busy_timeout_seconds`; the transaction is then rolled back.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = True,
        busy_timeout_seconds: float = 10.0,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.path = path
        self._create = create
        self._clock = clock
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        try:
            self.identity = self._open()
        except StoreUnavailable:
            self._db.close()
            raise

    def append(self, events: Sequence[Event], source: str) -> list[Receipt]:
        """One receipt per event in the same order; all in one transaction, on disk before this returns.

        Only the first event of an id is kept; a later one, also in `events`, is a duplicate or a conflict.
        """
        hashes = [event.content_hash() for event in events]
        with self._transaction() as db:
            known = _known_hashes(db, [event.event_id for event in events])
            receipts, fresh = _judge(events, hashes, known)
            accepted_at = self._clock().isoformat()
            db.executemany(
                "INSERT INTO events (event_id, content_hash, body, source, accepted_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (events[i].event_id, hashes[i], events[i].model_dump_json(), source, accepted_at)
                    for i in fresh
                ],
            )
        return receipts

    def after(self, seq: int, limit: int) -> list[StoredEvent]:
        """Up to `limit` events accepted after `seq`, oldest first."""
        rows = self._rows(
            "SELECT seq, body, source, accepted_at FROM events WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit
        )
        return [
            StoredEvent(row_seq, Event.model_validate_json(body), source, datetime.fromisoformat(accepted_at))
            for row_seq, body, source, accepted_at in rows
        ]

    def last_seq(self) -> int:
        """The newest `seq`, 0 when nothing was accepted yet."""
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def count(self) -> int:
        """Accepted events."""
        return int(self._rows("SELECT count(*) FROM events")[0][0])

    def close(self) -> None:
        """Close the file; the inbox is not usable afterwards."""
        with self._lock:
            self._db.close()

    def _open(self) -> str:
        """Durability settings, the schema on a new file, and the file's own random name."""
        with self._lock, self._errors():
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        with self._transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0 and self._create:
                _create(db)
            elif version not in (0, SCHEMA_VERSION):
                raise StoreUnavailable(
                    f"inbox {str(self.path)!r} has schema version {version}, this release reads"
                    f" {SCHEMA_VERSION}; use the release that wrote it or another path"
                )
            if missing := _missing(db):
                raise StoreUnavailable(
                    f"inbox {str(self.path)!r} has no {missing[0]}; run `python -m ml migrate` first"
                )
            return str(db.execute("SELECT value FROM identity").fetchone()[0])

    def _rows(self, statement: str, *values: int) -> list[tuple[int, str, str, str]]:
        with self._lock, self._errors():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"inbox {str(self.path)!r} cannot be used ({error});"
            " check the disk's free space and the folder's rights"
        )


def _create(db: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        db.execute(statement)
    db.execute("INSERT INTO identity (value) VALUES (?)", (uuid.uuid4().hex,))
    db.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (REVISION,))
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _missing(db: sqlite3.Connection) -> list[str]:
    """What this release reads or writes and the file does not have."""
    rows = db.execute(
        "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
    ).fetchall()
    return [
        f"column {column!r} in table {table!r}"
        for table, columns in _NEEDED.items()
        for column in sorted(columns)
        if (table, column) not in rows
    ]


def _known_hashes(db: sqlite3.Connection, event_ids: list[str]) -> dict[str, str]:
    """Content hash by id, of the ids that were accepted before."""
    rows = db.execute(
        "SELECT event_id, content_hash FROM events WHERE event_id IN (SELECT value FROM json_each(?))",
        (json.dumps(event_ids),),
    )
    return dict(rows.fetchall())


def _judge(
    events: Sequence[Event], hashes: Sequence[str], known: dict[str, str]
) -> tuple[list[Receipt], list[int]]:
    """One receipt per event, and the positions of those to insert; `known` learns the new ids."""
    receipts: list[Receipt] = []
    fresh: list[int] = []
    for position, (event, content_hash) in enumerate(zip(events, hashes, strict=True)):
        before = known.get(event.event_id)
        if before is None:
            known[event.event_id] = content_hash
            fresh.append(position)
        receipts.append(Receipt(event.event_id, _status(before, content_hash)))
    return receipts, fresh


def _status(before: str | None, content_hash: str) -> Status:
    if before is None:
        return "accepted"
    return "duplicate" if before == content_hash else "conflict"
