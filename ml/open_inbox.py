"""Opens an inbox wherever it is."""

from pathlib import Path

from ml.event_store import EventStore, Inbox
from ml.inbox_location import DatabaseUrl, Password
from ml.postgresql_inbox import PostgresqlInbox


def open_inbox(
    location: Path | DatabaseUrl,
    password: Password | None = None,
    *,
    create: bool = True,
    timeout_seconds: float = 10.0,
) -> EventStore:
    """The store at `location`.

    Args:
        location: A file or a database, as settings name it.
        password: Of the database.
        create: Make a missing file; a database only `python -m ml migrate` prepares.
        timeout_seconds: How long another writer or a silent server is waited for.

    Raises:
        StoreUnavailable: It cannot be opened.
    """
    if isinstance(location, Path):
        return Inbox(location, create=create, busy_timeout_seconds=timeout_seconds)
    return PostgresqlInbox(location, password, timeout_seconds=timeout_seconds)
