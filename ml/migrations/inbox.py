"""Brings the inbox's schema up to date; the only module that imports Alembic besides the migrations."""

import fcntl
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from ml.errors import StoreUnavailable
from ml.inbox_location import DatabaseUrl, Password

_LOG = logging.getLogger(__name__)
_ADVISORY_KEY: Final = 0x1B0_0001  # any number, so long as every release uses this one
VERSIONS: Final = Path(__file__).parent / "versions"


@dataclass(frozen=True)
class InboxSchema:
    """Where the schema of an inbox stands.

    Attributes:
        revision: The newest migration that it has had, None before the first.
        pending: Those that it has not had, oldest first.
    """

    revision: str | None
    pending: tuple[str, ...]


def inbox_url(path: Path) -> sa.URL:
    """The URL of an inbox that is a file."""
    return sa.URL.create("sqlite", database=str(path))


def migrations_of(location: Path | DatabaseUrl, password: Password) -> "InboxMigrations":
    """The migrations of the inbox that settings name.

    Raises:
        StoreUnavailable: The password's file cannot be read.
    """
    if isinstance(location, Path):
        return InboxMigrations(inbox_url(location))
    try:
        secret, tls = password.read(), location.tls()
    except OSError as error:
        raise StoreUnavailable(f"inbox {location} cannot be migrated ({error})") from error
    url = sa.URL.create(
        "postgresql+pg8000", location.user, secret, location.host, location.port, location.database
    )
    return InboxMigrations(url, connect_args={"ssl_context": tls or False})


class InboxMigrations:
    """The migrations of one inbox, a SQLite file or a PostgreSQL database.

    One process migrates at a time, others wait; a migration is whole or not there, also after `kill -9`, and
    running all again changes nothing. A release that is older than the newest migration leaves it in place.

    Args:
        url: Of the database.
        versions: Folder of the migrations.
        connect_args: What the database's driver is given beside the URL.
        what: What is in the database, for errors.

    Raises:
        StoreUnavailable: From every method, when the database cannot be opened or written.
    """

    def __init__(
        self,
        url: sa.URL,
        *,
        versions: Path = VERSIONS,
        busy_timeout_seconds: float = 10.0,
        connect_args: Mapping[str, Any] | None = None,
        what: str = "inbox",
    ) -> None:
        self._url, self._what = url, what
        self._engine = _engine(url, busy_timeout_seconds, dict(connect_args or {}))
        self._config = Config()
        self._config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        self._config.set_main_option("version_locations", str(versions).replace("%", "%%"))
        self._config.set_main_option("path_separator", "newline")
        self._script = ScriptDirectory.from_config(self._config)

    def state(self) -> InboxSchema:
        """Where it stands now; nothing is written or made."""
        if _is_missing_file(self._url):
            return InboxSchema(None, self._pending(None))
        with self._errors(), self._engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
        return InboxSchema(revision, self._pending(revision))

    def run(self) -> tuple[str, ...]:
        """Apply what is pending; what was applied, oldest first."""
        with self._errors(), self._lock():
            before = self.state()
            if before.pending:
                with self._engine.connect() as connection:
                    self._config.attributes["connection"] = connection
                    command.upgrade(self._config, "head")
            return before.pending

    def _pending(self, revision: str | None) -> tuple[str, ...]:
        known = [script.revision for script in self._script.walk_revisions()][::-1]
        if revision is not None and revision not in known:
            return ()  # a newer release has expanded it
        return tuple(known[0 if revision is None else known.index(revision) + 1 :])

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self._url.get_backend_name() == "sqlite":
            with _file_lock(Path(f"{self._url.database}.migrating")):
                yield
        else:
            with self._engine.connect() as guard:  # freed by the server when this connection ends
                guard.execute(sa.select(sa.func.pg_advisory_lock(_ADVISORY_KEY)))
                guard.commit()
                yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, CommandError, OSError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise StoreUnavailable(
                f"{self._what} {self._url.render_as_string(hide_password=True)} cannot be migrated ({reason});"
                " check its rights and its disk and run the same command again"
            ) from error


def _engine(url: sa.URL, busy_timeout_seconds: float, connect_args: dict[str, Any]) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=connect_args)
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": busy_timeout_seconds})

    @sa.event.listens_for(engine, "connect")
    def _by_hand(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # sqlite3 would commit before a CREATE

    @sa.event.listens_for(engine, "begin")
    def _take_the_write_lock(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _is_missing_file(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists()


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Waits for its turn; the kernel frees it when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _LOG.info("migrate_lock_wait", extra={"lock": str(path)})
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
