"""Erasure of one customer in an inbox that is a SQLite file, also while the collector uses it.

The row of an event stays with its id and the hash of its content, so that a re-send is known as one; what it says of
the customer goes. SQLite overwrites what it replaces (`secure_delete`) and the write-ahead log is emptied.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from ml.errors import StoreUnavailable
from ml.events import Event

_OF_CUSTOMER: Final = """
    WITH events_of AS (
        SELECT seq, body, body ->> 'customer_id' AS customer, body ->> 'order_id' AS order_id,
               body ->> 'session_id' AS session_id
        FROM events
    ), own AS (SELECT * FROM events_of WHERE customer IN (SELECT value FROM json_each(?)))
    SELECT seq, body FROM own
    UNION
    SELECT seq, body FROM events_of
    WHERE customer IS NULL AND (order_id IN (SELECT order_id FROM own) OR session_id IN (SELECT session_id FROM own))
"""
_PATIENCE_SECONDS: Final = 30.0


def inbox_events_of(path: Path, customers: Collection[str]) -> int:
    """How many accepted events are a customer's, by any of the names; 0 without an inbox."""
    if not path.exists():
        return 0
    with _connected(path) as db:
        return len(_found(db, customers))


def erase_in_inbox(path: Path, customers: Collection[str], zone: str) -> None:
    """Make a customer's events anonymous, as `ml.erasure` does in the lake; nothing to do without an inbox.

    Raises:
        StoreUnavailable: The file cannot be written, or a reader holds its log open; run the same again.
    """
    if not path.exists():
        return
    with _connected(path) as db:
        db.execute("BEGIN IMMEDIATE")
        orders: dict[str, str] = {}
        rows = [
            (_anonymous(Event.model_validate_json(body), zone, orders), seq)
            for seq, body in _found(db, customers)
        ]
        db.executemany("UPDATE events SET body = ? WHERE seq = ?", rows)
        db.execute("COMMIT")
        _empty_log(path, db)


def _anonymous(event: Event, zone: str, orders: dict[str, str]) -> str:
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


def _found(db: sqlite3.Connection, customers: Collection[str]) -> list[tuple[int, str]]:
    return db.execute(_OF_CUSTOMER, (json.dumps(sorted(customers)),)).fetchall()


def _empty_log(path: Path, db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"inbox {str(path)!r} is read without a pause, its write-ahead log still has what was replaced;"
                " run the same command again"
            )
        time.sleep(0.05)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)) as db:
            db.execute("PRAGMA secure_delete=ON")
            yield db
    except sqlite3.Error as error:
        raise StoreUnavailable(
            f"inbox {str(path)!r} cannot be used ({error}); run the same command again"
        ) from error
