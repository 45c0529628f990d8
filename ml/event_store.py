"""The inbox: accepted events on disk, in the order they were accepted, until the lake takes them.

`EventStore` is what every inbox does. `Inbox` is the one in a file, SQLite in WAL mode with `synchronous=FULL`:
a commit that returned survives `kill -9` and a power cut. `ml.postgresql_inbox` has the one in a database.
"""

import hashlib
import json
import sqlite3
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic_core import to_json

from ml.errors import StoreUnavailable
from ml.events import Event, content_json
from ml.inbox_schema import REVISION, SCHEMA_VERSION, SQLITE_TABLES, missing_columns

ROWS_A_STATEMENT: Final = 100

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


class Row(NamedTuple):
    """An event as an inbox keeps it: its id, the hash of its content, its JSON without nulls and who sent it."""

    event_id: str
    content_hash: str
    body: str
    source: str


def row_of(fields: Mapping[str, Any], source: str) -> Row:
    """The row of the event that has these fields, all of them, as `Event` keeps them."""
    event_id, content = fields["event_id"], content_json(fields)
    body = b'{"event_id":%b,%b' % (to_json(event_id), content[1:])
    return Row(event_id, hashlib.sha256(content).hexdigest(), body.decode(), source)


def rows_of(events: Sequence[Event], source: str) -> list[Row]:
    """One row per event in the same order."""
    return [row_of(event.__dict__, source) for event in events]


def utc_now() -> datetime:
    """The time at which an event is accepted, unless a test has another clock."""
    return datetime.now(UTC)


class EventStore(ABC):
    """Accepted events in the order of their commits; safe to share between threads.

    `seq` grows with every commit: who has read up to n misses nothing that is committed later.

    Attributes:
        identity: The store's own random name, the same for every process and after a restart.
        place: Where it is, without a password.

    Raises:
        StoreUnavailable: From every method, when the store cannot be reached, read or written.
    """

    identity: str
    place: str

    def append(self, events: Sequence[Event], source: str) -> list[Receipt]:
        """`keep` of the events' rows."""
        return self.keep(rows_of(events, source))

    @abstractmethod
    def keep(self, rows: Sequence[Row]) -> list[Receipt]:
        """One receipt per row in the same order; all in one transaction, on disk before this returns.

        Only the first row of an id is kept; a later one, also in `rows`, is a duplicate or a conflict. After an
        error nothing was kept, unless its text says that this is not known: sending again then tells.
        """

    def after(self, seq: int, limit: int) -> list[StoredEvent]:
        """Up to `limit` events accepted after `seq`, oldest first."""
        columns = "SELECT seq, body, source, accepted_at FROM events"
        rows = self._rows(f"{columns} WHERE seq > {seq:d} ORDER BY seq LIMIT {limit:d}")
        return [_stored_event(*row) for row in rows]

    def last_seq(self) -> int:
        """The newest `seq`, 0 when nothing was accepted yet."""
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def count(self) -> int:
        """Accepted events."""
        return int(self._rows("SELECT count(*) FROM events")[0][0])

    @abstractmethod
    def close(self) -> None:
        """Give the file or connection back; the store is not usable afterwards."""

    @abstractmethod
    def _rows(self, statement: str) -> Sequence[Sequence[Any]]:
        """What a query finds."""


class Inbox(EventStore):
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
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.path, self.place = path, str(path)
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

    def keep(self, rows: Sequence[Row]) -> list[Receipt]:
        """One receipt per row; another writer is waited for."""
        with self._transaction() as db:
            firsts = first_rows(rows)
            known = _known_hashes(db, list(firsts))
            _insert(db, [row for row in firsts.values() if row.event_id not in known], self._clock())
        return receipts(rows, known)

    def close(self) -> None:
        """Close the file."""
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
            if missing := missing_columns(_columns(db)):
                raise StoreUnavailable(
                    f"inbox {str(self.path)!r} has no {missing[0]}; run `python -m ml migrate` first"
                )
            return str(db.execute("SELECT value FROM identity").fetchone()[0])

    def _rows(self, statement: str) -> list[Any]:
        with self._lock, self._errors():
            return self._db.execute(statement).fetchall()

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
    for statement in SQLITE_TABLES:
        db.execute(statement)
    db.execute("INSERT INTO identity (value) VALUES (?)", (uuid.uuid4().hex,))
    db.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (REVISION,))
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _columns(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute(
        "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
    ).fetchall()


def _insert(db: sqlite3.Connection, rows: Sequence[Row], accepted_at: datetime) -> None:
    """Many rows a statement: the interpreter is free while one runs, and asked for again after each."""
    at = accepted_at.isoformat()
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        some = rows[start : start + ROWS_A_STATEMENT]
        db.execute(
            "INSERT INTO events (event_id, content_hash, body, source, accepted_at) VALUES"
            + ", ".join(["(?, ?, ?, ?, ?)"] * len(some)),
            [value for row in some for value in (*row, at)],
        )


def _known_hashes(db: sqlite3.Connection, event_ids: list[str]) -> dict[str, str]:
    """Content hash by id, of the ids that were accepted before."""
    rows = db.execute(
        "SELECT event_id, content_hash FROM events WHERE event_id IN (SELECT value FROM json_each(?))",
        (json.dumps(event_ids),),
    )
    return dict(rows.fetchall())


def first_rows(rows: Sequence[Row]) -> dict[str, Row]:
    """The first row of each id."""
    firsts: dict[str, Row] = {}
    for row in rows:
        firsts.setdefault(row.event_id, row)
    return firsts


def receipts(rows: Sequence[Row], known: Mapping[str, str]) -> list[Receipt]:
    """One receipt per row; `known` has the content hashes of the ids that were accepted before them."""
    kept = dict(known)
    answers: list[Receipt] = []
    for event_id, digest, *_ in rows:
        answers.append(Receipt(event_id, _status(kept.get(event_id), digest)))
        kept.setdefault(event_id, digest)
    return answers


def _status(before: str | None, content_hash: str) -> Status:
    if before is None:
        return "accepted"
    return "duplicate" if before == content_hash else "conflict"


def _stored_event(seq: int, body: str, source: str, accepted_at: str) -> StoredEvent:
    """What a row of the table says."""
    return StoredEvent(seq, Event.model_validate_json(body), source, datetime.fromisoformat(accepted_at))
