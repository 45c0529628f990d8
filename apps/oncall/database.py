"""The database of incidents, SQLite or PostgreSQL: opened and migrated at its first use."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from ml.errors import StoreUnavailable
from ml.inbox_location import DatabaseUrl, Password
from ml.migrations.inbox import InboxMigrations, inbox_url

VERSIONS: Final = Path(__file__).parent / "versions"
_WRITERS_LOCK: Final = 0x0C_A11  # any number, so long as every release uses this one


class Database:
    """Transactions in which nobody else writes.

    Writers wait for one another, in SQLite by its write lock and in PostgreSQL by an advisory lock: what one reads
    before it writes is still so, and the trail has one order. Alarms are few, so this costs nothing.

    Args:
        location: A file or a database.
        password: Of the database, read at each connection.
        timeout_seconds: Longest wait for a connection, a lock or a statement.

    Raises:
        StoreUnavailable: From every method, when the database does not answer; nothing was kept.
    """

    def __init__(
        self, location: Path | DatabaseUrl, password: Password, *, timeout_seconds: float = 5.0
    ) -> None:
        self._location, self._password, self._timeout = location, password, timeout_seconds
        self._opening, self._migrated = threading.Lock(), False
        self._engine = self._file(location) if isinstance(location, Path) else self._server(location)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction alone with the database; committed, on disk, at the end."""
        with self._begun() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS_LOCK)))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads; writers are not waited for."""
        with self._begun(reading=True) as connection:
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        with suppress(sa.exc.SQLAlchemyError, OSError):
            self._engine.dispose()

    @contextmanager
    def _begun(self, *, reading: bool = False) -> Iterator[sa.Connection]:
        try:
            self._migrate()
            with (
                self._engine.connect().execution_options(oncall_reading=reading) as connection,
                connection.begin(),
            ):
                yield connection
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.DBAPIError, OSError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise StoreUnavailable(
                f"the database {self._location} does not answer ({reason}); nothing was kept, send it again"
            ) from error
        except sa.exc.TimeoutError as error:
            raise StoreUnavailable(
                f"all connections to {self._location} are busy; nothing was kept, send it again"
            ) from error

    def _migrate(self) -> None:
        with self._opening:
            if self._migrated:
                return
            InboxMigrations(
                self._engine.url if isinstance(self._location, DatabaseUrl) else inbox_url(self._location),
                versions=VERSIONS,
                busy_timeout_seconds=self._timeout,
                connect_args=self._secrets(),
                what="incidents",
            ).run()
            self._migrated = True

    def _secrets(self) -> dict[str, Any]:
        if isinstance(self._location, Path):
            return {}
        return {
            "password": self._password.read(),
            "ssl_context": self._location.tls() or False,
            "timeout": self._timeout,
        }

    def _file(self, path: Path) -> sa.Engine:
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            inbox_url(path),
            connect_args={"timeout": self._timeout},
            poolclass=sa.NullPool,  # a file that was removed would still take what its open connections write
        )

        @sa.event.listens_for(engine, "connect")
        def _durable(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # transactions begin and end below
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

        @sa.event.listens_for(engine, "begin")
        def _alone(connection: sa.Connection) -> None:
            reading = connection.get_execution_options().get("oncall_reading")
            connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

        return engine

    def _server(self, url: DatabaseUrl) -> sa.Engine:
        engine = sa.create_engine(
            sa.URL.create("postgresql+pg8000", url.user, None, url.host, url.port, url.database),
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=5,
            pool_timeout=self._timeout,
        )
        milliseconds = max(1, int(self._timeout * 1000))

        @sa.event.listens_for(engine, "do_connect")
        def _with_secrets(_dialect: object, _record: object, _args: object, options: dict[str, Any]) -> None:
            options.update(self._secrets())

        @sa.event.listens_for(engine, "connect")
        def _bounded(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute(
                f"SET synchronous_commit = on; SET statement_timeout = {milliseconds};"
                f" SET idle_in_transaction_session_timeout = {milliseconds}"
            )
            cursor.close()
            connection.commit()

        return engine
