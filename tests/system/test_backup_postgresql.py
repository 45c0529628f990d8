"""The inbox and what on-call keeps, in a real PostgreSQL, come back from a backup; what has tables is left alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pg8000.exceptions import DatabaseError

from apps.oncall import trail
from apps.oncall.book import Book
from apps.oncall.database import Database
from apps.oncall.rota_file import RotaFile
from apps.oncall.schemas import SentGroup
from apps.oncall.tables import INCIDENTS
from ml.inbox_location import DatabaseUrl, Password
from ml.postgresql_inbox import PostgresqlInbox
from ml.settings import MlSettings
from scripts.backup import parts
from scripts.backup.parts import Others
from scripts.backup.places import Backup, Unfinished, files_at
from scripts.errors import Refused
from tests.apps.oncall.world import group, settings, written
from tests.ml.test_events import event
from tests.postgresql import OWNER, Server, postgresql

pytestmark = pytest.mark.system

NAME = "20261120T030000Z"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


def at(server: Server, database: str) -> DatabaseUrl:
    return DatabaseUrl("127.0.0.1", server.port, database, OWNER)


def settings_of(state: Path, inbox: DatabaseUrl) -> MlSettings:
    return MlSettings.model_validate({"state": state, "inbox": inbox})


def an_incident(where: DatabaseUrl, folder: Path) -> dict[str, list[Any]]:
    """What the on-call service keeps after an alarm that somebody acknowledged."""
    database = Database(where, Password(), timeout_seconds=10)
    book = Book(database, RotaFile(written(folder)), settings(folder))
    with database.writing() as connection:
        incidents = book.incidents(connection)
        number = incidents.take("page", SentGroup.model_validate(group()))
        incidents.acknowledge(number or 0, "ayse", "on it")
    database.close()
    return contents(where)


def contents(where: DatabaseUrl) -> dict[str, list[Any]]:
    """Every row of every table; the trail must hold."""
    database = Database(where, Password(), timeout_seconds=10)
    with database.reading() as connection:
        found = {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in INCIDENTS.metadata.sorted_tables
        }
        assert trail.verify(trail.exported(connection)) is None
    database.close()
    assert min(len(found[name]) for name in ("incidents", "alerts", "notifications", "trail")) > 0
    return found


def test_every_acknowledged_event_and_row_comes_back(server: Server, tmp_path: Path) -> None:
    source = PostgresqlInbox(server.new_inbox())
    receipts = source.append([event(event_id=f"e{number}") for number in range(50)], "web")
    assert {each.status for each in receipts} == {"accepted"}
    for name in ("oncall", "oncall_new", "inbox_new", "empty"):
        server.run(f"CREATE DATABASE {name}", "postgres")
    told = an_incident(at(server, "oncall"), tmp_path)
    unfinished = Unfinished(files_at(tmp_path / "backups"), NAME)
    oncall = Others({"oncall": at(server, "oncall")})
    parts.make(settings_of(tmp_path / "before", server.url), oncall, unfinished, len)
    unfinished.finish()
    backup = Backup(files_at(tmp_path / "backups"))
    after = settings_of(tmp_path / "after", at(server, "inbox_new"))
    with pytest.raises(Refused, match="oncall has tables"):
        parts.restore(after, oncall, backup, len)
    with pytest.raises(Refused, match="inbox has tables"):
        parts.restore(
            settings_of(tmp_path / "after", server.url), Others({"oncall": at(server, "empty")}), backup, len
        )
    parts.restore(after, Others({"oncall": at(server, "oncall_new")}), backup, len)
    restored = PostgresqlInbox(at(server, "inbox_new"))
    try:
        assert restored.identity == source.identity
        assert restored.after(0, 100) == source.after(0, 100)
        (again, new) = restored.append([event(event_id="e7"), event(event_id="new")], "web")
        assert (again.status, new.status) == ("duplicate", "accepted")
        assert restored.last_seq() > source.last_seq()
    finally:
        restored.close()
        source.close()
    assert contents(at(server, "oncall_new")) == told
    with pytest.raises(DatabaseError, match="only added to"):
        server.run("DELETE FROM trail", "oncall_new")
