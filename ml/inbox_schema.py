"""What an inbox's tables are, for the releases that make, migrate or read them."""

from collections.abc import Iterable
from typing import Final

SCHEMA_VERSION: Final = 1
"""Grows when a contract takes something away, never when something is added: older releases read on."""

REVISION: Final = "inbox_0001"
"""The newest migration in `ml/migrations`; a file made here is as if that had made it."""

SQLITE_TABLES: Final = (
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
_NEEDED: Final = {
    "events": {"seq", "event_id", "content_hash", "body", "source", "accepted_at"},
    "identity": {"value"},
}


def missing_columns(found: Iterable[tuple[str, str]]) -> list[str]:
    """What this release reads or writes and a database with these columns, as (table, column), does not have."""
    there = set(found)
    return [
        f"column {column!r} in table {table!r}"
        for table, columns in _NEEDED.items()
        for column in sorted(columns)
        if (table, column) not in there
    ]
