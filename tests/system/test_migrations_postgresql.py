"""The inbox's migrations on a real PostgreSQL, which the tests start for themselves."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ml.errors import StoreUnavailable
from ml.inbox_schema import REVISION
from ml.migrations.inbox import _ADVISORY_KEY, InboxMigrations
from tests.ml.test_migrations import later_steps
from tests.postgresql import OWNER, postgresql

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server() -> Iterator[sa.URL]:
    with postgresql() as running:
        yield sa.URL.create(
            "postgresql+pg8000", OWNER, host="127.0.0.1", port=running.port, database="postgres"
        )


@pytest.fixture
def url(server: sa.URL) -> Iterator[sa.URL]:
    """A database of its own."""
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE inbox"))
    yield server.set(database="inbox")
    with admin.connect() as connection:
        connection.execute(sa.text("DROP DATABASE inbox"))


def rows(url: sa.URL, statement: str) -> list[tuple[object, ...]]:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement))]


def test_all_steps_are_applied_once(url: sa.URL, tmp_path: Path) -> None:
    migrations = InboxMigrations(url, versions=later_steps(tmp_path / "steps"))
    assert migrations.state().pending == (REVISION, "two", "three", "four")
    assert migrations.run() == (REVISION, "two", "three", "four")
    assert (migrations.run(), migrations.state().revision) == ((), "four")
    insert = (
        "INSERT INTO events (event_id, content_hash, body, source, accepted_at) VALUES ('e','h','b','s','t')"
    )
    assert rows(url, f"{insert} RETURNING seq, attempts") == [(1, 1)]
    assert len(rows(url, "SELECT value FROM identity")) == 1


def test_the_lock_of_another_session_is_waited_for(url: sa.URL, tmp_path: Path) -> None:
    migrations = InboxMigrations(url, versions=later_steps(tmp_path / "steps"))
    applied: list[tuple[str, ...]] = []
    waiting = threading.Thread(target=lambda: applied.append(migrations.run()))
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as holder:
        holder.execute(sa.select(sa.func.pg_advisory_lock(_ADVISORY_KEY)))
        holder.commit()
        waiting.start()
        time.sleep(1)
        assert (applied, migrations.state().revision) == ([], None)
    waiting.join(timeout=20)
    assert applied == [(REVISION, "two", "three", "four")]


def test_of_several_at_once_one_migrates(url: sa.URL, tmp_path: Path) -> None:
    steps = later_steps(tmp_path / "steps")
    applied: list[tuple[str, ...]] = []
    many = [
        threading.Thread(target=lambda: applied.append(InboxMigrations(url, versions=steps).run()))
        for _ in range(4)
    ]
    for one in many:
        one.start()
    for one in many:
        one.join(timeout=30)
    assert sorted(applied) == [(), (), (), (REVISION, "two", "three", "four")]


def test_a_password_is_not_in_the_refusal(server: sa.URL) -> None:
    gone = server.set(database="nowhere", password="a-secret-of-nobody")
    with pytest.raises(StoreUnavailable, match="cannot be migrated") as caught:
        InboxMigrations(gone).run()
    assert "a-secret-of-nobody" not in str(caught.value)
