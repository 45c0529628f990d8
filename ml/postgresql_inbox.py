"""The inbox in PostgreSQL: the same promise as the one in a file, for collectors on any number of nodes.

Rows go by COPY into a temporary table, which no other session sees, and from there by one message of four
statements into `events`: take the writers' lock, insert what is new, ask for what was there before, commit. So the lock
is held for as long as the server needs for them, and never waits for a client or the network.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

from pg8000.exceptions import DatabaseError, Error
from pg8000.native import Connection, literal

from ml.errors import StoreUnavailable
from ml.event_store import EventStore, Receipt, Row, first_rows, receipts, utc_now
from ml.inbox_location import DatabaseUrl, Password
from ml.inbox_schema import missing_columns

WRITERS_LOCK: Final = 0x1B0_0002
"""Key of the advisory lock under which `seq` is given out; every release uses this one."""

SENT: Final = """CREATE TEMPORARY TABLE sent
    (place integer NOT NULL, event_id text NOT NULL, content_hash text NOT NULL, body text NOT NULL,
    source text NOT NULL) ON COMMIT DELETE ROWS"""
COPY: Final = "COPY pg_temp.sent (place, event_id, content_hash, body, source) FROM STDIN"
_COLUMNS: Final = """SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = ANY (current_schemas(false))"""
_UNSURE: Final = ("08", "57P", "58", "XX")  # connection, shutdown, system, internal: perhaps after the commit
_NOTHING_KEPT: Final = "none of what was sent was kept; send it again"
_FATE_UNKNOWN: Final = (
    "whether what was sent was kept is not known; send it again, what was kept is then a duplicate"
)


def session(timeout_seconds: float) -> str:
    """What every connection sets first.

    A commit is on disk before it is acknowledged, and on the synchronous standbys if there are any. No statement and
    no open transaction of a client that is gone outlives the timeout, so the writers' lock becomes free. Rows
    are looked up by index, also while statistics say nothing yet, and no query of a millisecond is compiled.
    """
    milliseconds = max(1, int(timeout_seconds * 1000))
    return f"""SET synchronous_commit = on; SET statement_timeout = {milliseconds};
        SET idle_in_transaction_session_timeout = {milliseconds}; SET tcp_user_timeout = {milliseconds};
        SET enable_seqscan = off; SET jit = off"""


def insertion(accepted_at: str) -> str:
    """The message that moves what was sent into `events`.

    Its answer is the lock's empty row, then (event_id, content_hash) of every id that was known before.

    `ON CONFLICT` makes each id unique whoever else writes. A row of another transaction has another `xmin`.
    """
    return f"""SELECT pg_advisory_xact_lock({WRITERS_LOCK});
        INSERT INTO events (event_id, content_hash, body, source, accepted_at)
        SELECT event_id, content_hash, body, source, {literal(accepted_at)} FROM pg_temp.sent ORDER BY place
        ON CONFLICT (event_id) DO NOTHING;
        SELECT sent.event_id, earlier.content_hash FROM pg_temp.sent CROSS JOIN LATERAL (
            SELECT content_hash FROM events
            WHERE events.event_id = sent.event_id AND events.xmin <> pg_current_xact_id()::xid LIMIT 1
        ) earlier;
        COMMIT"""  # noqa: S608 - literals are quoted


def copy_text(rows: Sequence[Row]) -> bytes:
    """Rows in COPY's text format; event text and sources have no control characters, a backslash is doubled."""
    lines = [
        f"{place}\t{event_id}\t{content_hash}\t{body}\t{source}\n"
        for place, (event_id, content_hash, body, source) in enumerate(rows)
    ]
    return "".join(lines).replace("\\", "\\\\").encode()


class PostgresqlInbox(EventStore):
    """Accepted events in one PostgreSQL database (15 or newer), over one connection.

    Why `seq` follows the order of commits: it is given out by the INSERT, which runs under an advisory lock that the
    server frees only after the commit is visible to every new snapshot. So whoever gets a number sees all smaller ones
    committed or, where a transaction failed, gone for ever; a reader of "after n" can miss none. This holds for all who
    take the lock, which is every release of this project; nobody else may insert. An identity column keeps no
    numbers in reserve.

    After an error the connection is closed, and with it the transaction: open another store. Poolers that
    hand a connection on between transactions lose the temporary table; let them pool sessions.

    Args:
        timeout_seconds: Longest silence of the server that is waited for, and longest statement.

    Raises:
        StoreUnavailable: From every method. `keep` says whether nothing was kept or that this is not known.
    """

    def __init__(
        self,
        url: DatabaseUrl,
        password: Password | None = None,
        *,
        timeout_seconds: float = 10.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.place, self._clock, self._lock = str(url), clock, threading.Lock()
        self._connection: Connection | None = None
        self._can_write = False
        with self._errors():
            self._connection = _connect(url, password or Password(), timeout_seconds)
            self._run(session(timeout_seconds))
            self._refuse_missing(self._run(_COLUMNS))
            self.identity = str(self._run("SELECT value FROM identity")[0][0])

    def keep(self, rows: Sequence[Row]) -> list[Receipt]:
        """One receipt per row; other writers are waited for. Without rows it shows that the server takes writes."""
        firsts = first_rows(rows)
        moving = insertion(self._clock().isoformat())
        with self._lock:
            with self._errors(_NOTHING_KEPT):
                self._send(list(firsts.values()))
            with self._errors(_NOTHING_KEPT, _FATE_UNKNOWN):
                _, *known = self._run(moving)
        return receipts(rows, dict(known))

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._drop()

    def _send(self, rows: Sequence[Row]) -> None:
        if not self._can_write:
            self._run(SENT)
            self._can_write = True
        self._run("BEGIN")
        if rows:
            self._run(COPY, stream=[copy_text(rows)])

    def _rows(self, statement: str) -> list[Any]:
        with self._lock, self._errors():
            return self._run(statement)

    def _run(self, statement: str, **options: Any) -> list[Any]:
        if self._connection is None:
            raise ConnectionError("the connection was closed")
        return self._connection.run(statement, **options) or []

    def _refuse_missing(self, columns: Sequence[Sequence[str]]) -> None:
        if missing := missing_columns((table, column) for table, column in columns):
            self._drop()
            raise StoreUnavailable(
                f"inbox {self.place} has no {missing[0]}; run `python -m ml migrate` first"
            )

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Error, OSError):
                connection.close()

    @contextmanager
    def _errors(
        self, fate: str = "check the server and the URL", unsure: str | None = None
    ) -> Iterator[None]:
        try:
            yield
        except (Error, OSError) as error:
            self._drop()
            known = isinstance(error, DatabaseError) and not _sqlstate(error).startswith(_UNSURE)
            raise StoreUnavailable(
                f"inbox {self.place} cannot be used ({_reason(error)}); {fate if known or unsure is None else unsure}"
            ) from error


def _connect(url: DatabaseUrl, password: Password, timeout_seconds: float) -> Connection:
    """A connection whose every wait is bounded; small messages leave without waiting for an acknowledgement."""
    bound = socket.create_connection((url.host, url.port), timeout_seconds)
    try:
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(
            url.user,
            host=url.host,
            database=url.database,
            password=password.read(),
            ssl_context=url.tls() or False,
            application_name="inbox",
            sock=bound,
        )
    except BaseException:
        bound.close()
        raise


def _sqlstate(error: Exception) -> str:
    told = error.args[0] if error.args else None
    return str(told.get("C", "")) if isinstance(told, dict) else ""


def _reason(error: Exception) -> str:
    told = error.args[0] if error.args else None
    if isinstance(told, dict):
        return f"{told.get('M')}, SQLSTATE {told.get('C')}"
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__
