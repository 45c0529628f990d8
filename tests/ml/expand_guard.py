"""Judges the SQL of a migration: does it only add, so that the release before it runs on?

It reads the statements that the migration sends to each database, and lets only known forms through.
"""

import importlib.util
import io
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from alembic.migration import MigrationContext
from alembic.operations import Operations

DIALECTS = ("sqlite", "postgresql")

_WORD = r"\w+"
_NEW_TABLE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?({_WORD}) \(", re.IGNORECASE)
_NEW_INDEX = re.compile(rf"CREATE (UNIQUE )?INDEX (?:IF NOT EXISTS )?{_WORD} ON ({_WORD})\b", re.IGNORECASE)
_NEW_COLUMN = re.compile(
    rf"ALTER TABLE {_WORD} ADD COLUMN (?:IF NOT EXISTS )?{_WORD} ([^;,]+)", re.IGNORECASE
)
_NEW_ROW = re.compile(rf"INSERT INTO ({_WORD}) ", re.IGNORECASE)
_SAME_SCHEMA_VERSION = re.compile(r"PRAGMA user_version ?= ?1", re.IGNORECASE)
_DEMANDS = re.compile(r"\b(UNIQUE|PRIMARY KEY|CHECK|REFERENCES|GENERATED)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """A statement that the release before the migration may not survive."""

    dialect: str
    statement: str


def statements(migration: ModuleType, dialect: str) -> list[str]:
    """The SQL that the migration sends to a database of this kind; none is there."""
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": out, "literal_binds": True}
    )
    with Operations.context(context):
        migration.upgrade()
    return [" ".join(text.split()) for text in out.getvalue().split(";") if text.strip()]


def faults(migration: ModuleType) -> list[Fault]:
    """What in the migration is not an addition that an older release can ignore."""
    found = []
    for dialect in DIALECTS:
        try:
            sql = statements(migration, dialect)
        except NotImplementedError as error:  # what SQLite can only do by making the table anew
            found.append(Fault(dialect, str(error)))
            continue
        made = {match[1] for text in sql if (match := _NEW_TABLE.match(text))}
        found += [Fault(dialect, text) for text in sql if not _adds(text, made)]
    return found


def _adds(text: str, made: set[str]) -> bool:
    if _NEW_TABLE.match(text) or _SAME_SCHEMA_VERSION.fullmatch(text):
        return True
    if index := _NEW_INDEX.match(text):
        return index[1] is None or index[2] in made
    if row := _NEW_ROW.match(text):
        return row[1] in made
    column = _NEW_COLUMN.fullmatch(text)
    return column is not None and _may_be_left_out(column[1])


def _may_be_left_out(definition: str) -> bool:
    upper = definition.upper()
    return not _DEMANDS.search(upper) and ("NOT NULL" not in upper or " DEFAULT " in upper)


def refusal(migration: ModuleType, released: set[str]) -> str | None:
    """Why the migration may not be released, None if it may; `released` are those of the release before."""
    contract_of = getattr(migration, "contract_of", None)
    if contract_of is None:
        found = faults(migration)
        return f"{migration.revision} does not only add: {found}" if found else None
    if contract_of not in released:
        return f"{migration.revision} takes away what {contract_of} replaced, which no release before has"
    return None


def loaded(path: Path) -> ModuleType:
    """The migration in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
