"""Databases as bytes: SQLite by its online backup, PostgreSQL by pg_dump; both see one instant, writers go on."""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from ml.inbox_location import DatabaseUrl
from scripts.errors import Broken, Refused


def sqlite_copy(path: Path) -> bytes:
    """A whole SQLite file as of one commit."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy.read_bytes()


def moved(data: bytes, before: str, after: str) -> bytes:
    """A SQLite file in which every text that begins with one prefix begins with another."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.write_bytes(data)
        with closing(sqlite3.connect(copy)) as db:
            columns = db.execute(
                "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c"
                " WHERE t.type = 'table' AND (upper(c.type) LIKE '%CHAR%' OR upper(c.type) = 'TEXT')"
            ).fetchall()
            for table, column in columns:
                db.execute(
                    f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?)'  # noqa: S608 - names of the schema
                    f' WHERE substr("{column}", 1, ?) = ?',
                    (after, len(before) + 1, len(before), before),
                )
            db.commit()
        return copy.read_bytes()


def dumped(url: DatabaseUrl, password: str | None) -> bytes:
    """A PostgreSQL database in pg_dump's own format."""
    return _run("pg_dump", url, ["--format=custom", "--no-owner", "--no-privileges"], password)


def refuse_used(url: DatabaseUrl, password: str | None) -> None:
    """Refuse a database that has tables."""
    question = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    arguments = ["--no-psqlrc", "--tuples-only", "--no-align", f"--command={question}"]
    if int(_run("psql", url, arguments, password)):
        raise Refused("not_empty", f"{url} has tables; restore into an empty database")


def restore_dump(url: DatabaseUrl, password: str | None, data: bytes) -> None:
    """Fill an empty database, wholly or not at all."""
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    _run("pg_restore", url, arguments, password, data)


def _run(
    program: str, url: DatabaseUrl, arguments: Sequence[str], password: str | None, stdin: bytes = b""
) -> bytes:
    where = {"host": url.host, "port": url.port, "username": url.user, "dbname": url.database}
    command = [program, "--no-password", *arguments, *(f"--{name}={value}" for name, value in where.items())]
    environment = os.environ | {"PGSSLMODE": url.sslmode}
    environment |= {"PGSSLROOTCERT": url.sslrootcert} if url.sslrootcert else {}
    environment |= {"PGPASSWORD": password} if password else {}
    try:
        done = subprocess.run(command, env=environment, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise Refused("no_program", f"{program} is not installed; it is PostgreSQL's client") from None
    if done.returncode:
        raise Broken(f"{program}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
