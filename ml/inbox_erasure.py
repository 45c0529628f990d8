"""Erasure of one customer in an inbox, also while collectors use it.

The row of an event stays with its id and the hash of its content, so that a re-send is known as one; what it says of
the customer goes.
"""

import json
import sqlite3
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from pg8000.native import literal

from ml.errors import StoreUnavailable
from ml.events import Event
from ml.inbox_location import DatabaseUrl, Password
from ml.postgresql_inbox import PostgresqlInbox

_PATIENCE_SECONDS: Final = 30.0
_STATEMENT_SECONDS: Final = 600.0


class InboxErasure(ABC):
    """What an erasure does with an inbox.

    Raises:
        StoreUnavailable: From every method, when the inbox cannot be read or written; run the same again.
    """

    @abstractmethod
    def count(self, customers: Collection[str]) -> int:
        """How many accepted events are a customer's, by any of the names."""

    @abstractmethod
    def erase(self, customers: Collection[str], zone: str) -> None:
        """Make them anonymous, as `ml.erasure` does in the lake."""

    @abstractmethod
    def left_in(self, customers: Collection[str]) -> list[str]:
        """Where the customer can still be read, by the first of the names."""


def inbox_erasure(location: Path | DatabaseUrl, password: Password | None = None) -> InboxErasure:
    """For an inbox wherever it is; a file need not exist."""
    if isinstance(location, Path):
        return FileErasure(location)
    return DatabaseErasure(location, password)


class FileErasure(InboxErasure):
    """In a SQLite file: what is replaced is overwritten (`secure_delete`), and the write-ahead log is emptied."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def count(self, customers: Collection[str]) -> int:
        """None without a file."""
        if not self._path.exists():
            return 0
        with self._connected() as db:
            return len(self._found(db, customers))

    def erase(self, customers: Collection[str], zone: str) -> None:
        """Nothing to do without a file."""
        if not self._path.exists():
            return
        with self._connected() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = _anonymous(self._found(db, customers), zone)
            db.executemany("UPDATE events SET body = ? WHERE seq = ?", [(body, seq) for seq, body in rows])
            db.execute("COMMIT")
            self._empty_log(db)

    def left_in(self, customers: Collection[str]) -> list[str]:
        """The files of the inbox whose bytes hold the name."""
        word = next(iter(customers)).encode()
        files = (Path(f"{self._path}{end}") for end in ("", "-wal"))
        return [str(file) for file in files if file.exists() and word in file.read_bytes()]

    def _found(self, db: sqlite3.Connection, customers: Collection[str]) -> list[tuple[int, str]]:
        query = _of_customer("body ->> '{}'", "SELECT value FROM json_each(?)")
        return db.execute(query, (json.dumps(list(customers)),)).fetchall()

    def _empty_log(self, db: sqlite3.Connection) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"inbox {str(self._path)!r} is read without a pause, its write-ahead log still has what was"
                    " replaced; run the same command again"
                )
            time.sleep(0.05)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            opened = sqlite3.connect(self._path, timeout=_PATIENCE_SECONDS, isolation_level=None)
            with closing(opened) as db:
                db.execute("PRAGMA secure_delete=ON")
                yield db
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"inbox {str(self._path)!r} cannot be used ({error}); run the same command again"
            ) from error


class DatabaseErasure(InboxErasure):
    """In PostgreSQL: replaced rows are vacuumed; their space and the WAL are overwritten as the server goes on."""

    def __init__(self, url: DatabaseUrl, password: Password | None) -> None:
        self._url, self._password = url, password

    def count(self, customers: Collection[str]) -> int:
        """By one scan of the table."""
        with closing(self._opened()) as inbox:
            return len(inbox.found(customers))

    def erase(self, customers: Collection[str], zone: str) -> None:
        """In one transaction, then a VACUUM."""
        with closing(self._opened()) as inbox:
            inbox.replace(_anonymous(inbox.found(customers), zone))

    def left_in(self, customers: Collection[str]) -> list[str]:
        """The inbox, if a row that can be read names the customer."""
        with closing(self._opened()) as inbox:
            return [inbox.place] if inbox.found(customers) else []

    def _opened(self) -> "_Bodies":
        return _Bodies(self._url, self._password, timeout_seconds=_STATEMENT_SECONDS)


class _Bodies(PostgresqlInbox):
    """The inbox, and what its events say."""

    def found(self, customers: Collection[str]) -> list[tuple[int, str]]:
        names = ", ".join(literal(name) for name in customers)
        return [(int(seq), str(body)) for seq, body in self._rows(_of_customer("body::json ->> '{}'", names))]

    def replace(self, rows: Collection[tuple[int, str]]) -> None:
        if rows:
            values = ", ".join(f"({seq:d}, {literal(body)})" for seq, body in rows)
            self._rows(
                f"UPDATE events SET body = new.body FROM (VALUES {values}) AS new (seq, body)"  # noqa: S608 - quoted
                " WHERE events.seq = new.seq"
            )
        self._rows("VACUUM events")


def _of_customer(field: str, names: str) -> str:
    """Number and body of a customer's events: by name, and without one in the same orders or sessions.

    `field` reads a field of a body, `names` are the names in SQL.
    """
    customer, order, session = (field.format(name) for name in ("customer_id", "order_id", "session_id"))
    return f"""
        WITH said AS (
            SELECT seq, body, {customer} AS customer, {order} AS order_id, {session} AS session_id FROM events
        ), own AS (SELECT * FROM said WHERE customer IN ({names}))
        SELECT seq, body FROM own
        UNION
        SELECT seq, body FROM said WHERE customer IS NULL
            AND (order_id IN (SELECT order_id FROM own) OR session_id IN (SELECT session_id FROM own))
    """  # noqa: S608 - names are bound or quoted


def _anonymous(found: Collection[tuple[int, str]], zone: str) -> list[tuple[int, str]]:
    """The same events with nothing that leads back to the customer but their id."""
    orders: dict[str, str] = {}
    return [(seq, _without_customer(Event.model_validate_json(body), zone, orders)) for seq, body in found]


def _without_customer(event: Event, zone: str, orders: dict[str, str]) -> str:
    day = event.occurred_at.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    order = event.order_id and orders.setdefault(event.order_id, f"erased-{uuid.uuid4().hex}")
    changes = {
        "customer_id": None,
        "session_id": None,
        "segment": None,
        "order_id": order,
        "occurred_at": day,
    }
    return Event.model_validate(event.model_dump() | changes).model_dump_json()
