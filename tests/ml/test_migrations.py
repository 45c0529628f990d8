"""Migrations add and never take away, one process at a time, and a kill at any moment costs nothing."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from ml.__main__ import main
from ml.columns import SCHEMAS
from ml.errors import StoreUnavailable
from ml.event_store import Inbox
from ml.inbox_schema import REVISION
from ml.lake import Lake
from ml.migrations.inbox import VERSIONS, InboxMigrations, inbox_url
from ml.settings import MlSettings
from ml.verbs.migrate import run
from tests.ml.expand_guard import DIALECTS, loaded, refusal, statements
from tests.ml.previous import released_migrations
from tests.ml.test_events import event

ROOT = Path(__file__).parents[2]
OURS = sorted(path for path in VERSIONS.glob("*.py") if path.stem != "__init__")

STEP = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {revision!r}, {before!r}, None, None
contract_of = {contract_of!r}

def upgrade():
{body}
"""


def write_step(
    folder: Path, revision: str, before: str | None, body: str, contract_of: str | None = None
) -> Path:
    """A migration in the folder; its body is what `upgrade` does."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{revision}.py"
    indented = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    path.write_text(STEP.format(revision=revision, before=before, contract_of=contract_of, body=indented))
    return path


def later_steps(folder: Path) -> Path:
    """Our migrations and three that a later release may add."""
    folder.mkdir()
    for path in OURS:
        (folder / path.name).write_text(path.read_text())
    write_step(folder, "two", REVISION, 'op.add_column("events", sa.Column("received_by", sa.Text()))')
    write_step(
        folder,
        "three",
        "two",
        """
        op.create_table("senders", sa.Column("name", sa.Text(), primary_key=True))
        op.create_index("events_by_source", "events", ["source"])
        """,
    )
    number = 'sa.Column("attempts", sa.Integer(), nullable=False, server_default="1")'
    write_step(folder, "four", "three", f'op.add_column("events", {number})')
    return folder


def shape(path: Path) -> dict[str, Any]:
    """What a database file has: tables with their columns, indexes and whether they are strict; its steps."""
    db = sqlite3.connect(path)
    tables = [row for row in db.execute("PRAGMA table_list").fetchall() if row[0] == "main"]
    found: dict[str, Any] = {
        name: (
            strict,
            db.execute(f"PRAGMA table_xinfo({name})").fetchall(),
            sorted(
                tuple(column[2] for column in db.execute(f"PRAGMA index_info({index[1]})").fetchall())
                for index in db.execute(f"PRAGMA index_list({name})").fetchall()
            ),
        )
        for _, name, _, _, _, strict in tables
        if not name.startswith("sqlite_")
    }
    found["user_version"] = db.execute("PRAGMA user_version").fetchall()
    found["revision"] = db.execute("SELECT version_num FROM alembic_version").fetchall()
    found["counts"] = bool(
        re.search("AUTOINCREMENT", str(db.execute("SELECT sql FROM sqlite_master").fetchall()))
    )
    db.close()
    return found


def migrations(path: Path, versions: Path = VERSIONS, **options: Any) -> InboxMigrations:
    return InboxMigrations(inbox_url(path), versions=versions, **options)


# --- what a migration may do ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_migrations_only_add(path: Path) -> None:
    assert refusal(loaded(path), released_migrations()) is None


GOOD = {
    "nullable": 'op.add_column("events", sa.Column("a", sa.Text()))',
    "default": 'op.add_column("events", sa.Column("a", sa.Integer(), nullable=False, server_default="0"))',
    "table": """
        op.create_table("senders", sa.Column("a", sa.Text(), primary_key=True), sa.Column("b", sa.Text(), unique=True))
    """,
    "index": 'op.create_index("i", "events", ["source"])',
    "unique index of a new table": """
        op.create_table("senders", sa.Column("a", sa.Text()))
        op.create_index("i", "senders", ["a"], unique=True)
    """,
    "rows of a new table": """
        op.create_table("senders", sa.Column("a", sa.Text()))
        op.execute("INSERT INTO senders (a) VALUES ('x')")
    """,
}
BAD = {
    "drop column": 'op.drop_column("events", "source")',
    "drop table": 'op.drop_table("identity")',
    "rename column": 'op.alter_column("events", "source", new_column_name="origin")',
    "rename table": 'op.rename_table("events", "accepted")',
    "type": 'op.alter_column("events", "source", type_=sa.String(10))',
    "not null": 'op.alter_column("events", "source", nullable=False)',
    "no default": 'op.add_column("events", sa.Column("a", sa.Text(), nullable=False))',
    "unique column": 'op.add_column("events", sa.Column("a", sa.Text(), unique=True))',
    "unique index": 'op.create_index("i", "events", ["source"], unique=True)',
    "unique": 'op.create_unique_constraint("u", "events", ["source"])',
    "check": 'op.create_check_constraint("c", "events", "length(source) < 9")',
    "reference": 'op.create_foreign_key("f", "events", "identity", ["source"], ["value"])',
    "drop index": 'op.drop_index("events_by_source", "events")',
    "default taken": 'op.alter_column("events", "source", server_default=None)',
    "delete": 'op.execute("DELETE FROM events")',
    "update": """op.execute("UPDATE events SET source = 'x'")""",
    "rows of an old table": """op.execute("INSERT INTO events (event_id) VALUES ('x')")""",
    "sql": 'op.execute("ALTER TABLE events RENAME TO accepted")',
    "sql after a good one": 'op.execute("CREATE TABLE senders (a TEXT); DROP TABLE events")',
    "trigger": 'op.execute("CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT 1")',
    "schema version": 'op.execute("PRAGMA user_version=2")',
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_an_addition_passes(tmp_path: Path, body: str) -> None:
    assert refusal(loaded(write_step(tmp_path, "step", REVISION, body)), set()) is None


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_an_older_release_may_not_survive_is_refused(tmp_path: Path, body: str) -> None:
    said = refusal(loaded(write_step(tmp_path, "step", REVISION, body)), set())
    assert said is not None
    assert "does not only add" in said


@pytest.mark.parametrize(("released", "allowed"), [({"two"}, True), ({"one"}, False), (set(), False)])
def test_a_contract_waits_for_the_release_of_its_expand(
    tmp_path: Path, released: set[str], allowed: bool
) -> None:
    body = 'op.drop_column("events", "source")'
    step = loaded(write_step(tmp_path, "three", "two", body, contract_of="two"))
    assert (refusal(step, released) is None) is allowed


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_first_migration_is_the_same_on_both_databases(dialect: str) -> None:
    sql = statements(loaded(VERSIONS / f"{REVISION}.py"), dialect)
    tables = [text for text in sql if text.startswith("CREATE TABLE IF NOT EXISTS")]
    assert len(tables) == 2
    assert ("GENERATED ALWAYS AS IDENTITY" in tables[0], "AUTOINCREMENT" in tables[0]) == (
        dialect == "postgresql",
        dialect == "sqlite",
    )


def test_the_names_in_the_code_are_those_of_the_files() -> None:
    assert OURS[-1].stem == REVISION
    for path in OURS:
        assert loaded(path).revision == path.stem


# --- how they are run -------------------------------------------------------------------------------------


def test_a_migrated_file_is_a_new_file(tmp_path: Path) -> None:
    migrations(tmp_path / "migrated.sqlite").run()
    Inbox(tmp_path / "new.sqlite").close()
    assert shape(tmp_path / "migrated.sqlite") == shape(tmp_path / "new.sqlite")
    assert migrations(tmp_path / "new.sqlite").state().pending == ()


def test_running_again_changes_nothing(tmp_path: Path) -> None:
    path, steps = tmp_path / "inbox.sqlite", later_steps(tmp_path / "steps")
    assert migrations(path, steps).run() == (REVISION, "two", "three", "four")
    before = path.read_bytes()
    assert migrations(path, steps).run() == ()
    assert path.read_bytes() == before


def test_a_check_makes_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state" / "inbox.sqlite"
    assert migrations(path).state().pending == (REVISION,)
    assert not path.parent.exists()
    Inbox(path).close()
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert migrations(path, later_steps(tmp_path / "steps")).state().pending == ("two", "three", "four")
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_step_that_fails_leaves_those_before_it(tmp_path: Path) -> None:
    path, steps = tmp_path / "inbox.sqlite", later_steps(tmp_path / "steps")
    write_step(
        steps,
        "five",
        "four",
        """
        op.add_column("events", sa.Column("half", sa.Text()))
        op.execute("ALTER TABLE absent ADD COLUMN a TEXT")
        """,
    )
    with pytest.raises(StoreUnavailable, match="no such table: absent"):
        migrations(path, steps).run()
    assert migrations(path, steps).state().revision == "four"
    assert "half" not in str(shape(path))
    (steps / "five.py").unlink()
    assert migrations(path, steps).run() == ()


def test_a_writer_in_the_middle_of_a_batch_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    Inbox(path).close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="database is locked"):
        migrations(path, later_steps(tmp_path / "steps"), busy_timeout_seconds=0.1).run()
    writer.execute("ROLLBACK")
    writer.close()
    assert migrations(path, tmp_path / "steps").run() == ("two", "three", "four")


def test_an_open_inbox_writes_on_while_columns_are_added(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    inbox = Inbox(path)
    inbox.append([event(event_id="before")], "web")
    migrations(path, later_steps(tmp_path / "steps")).run()
    inbox.append([event(event_id="after")], "web")
    assert [stored.event.event_id for stored in inbox.after(0, 9)] == ["before", "after"]
    inbox.close()


RUN = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from ml.migrations.inbox import InboxMigrations, inbox_url

count, kill_at, early = 0, int(sys.argv[3]), sys.argv[4] == "before"

def step(connection, cursor, statement, parameters, context, many):
    global count
    count += 1
    if count == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

sa.event.listen(sa.Engine, "before_cursor_execute" if early else "after_cursor_execute", step)
print("ready", flush=True)
sys.stdin.readline()
steps = InboxMigrations(inbox_url(Path(sys.argv[1])), versions=Path(sys.argv[2])).run()
print(count, *steps)
"""


HOLD = """
import sys, time
from pathlib import Path
from ml.migrations.inbox import _file_lock
with _file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def runner(path: Path, steps: Path, kill_at: int = 0, when: str = "before") -> subprocess.Popen[str]:
    """A process that migrates once it reads a line, and kills itself around the statement `kill_at`."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), str(steps), str(kill_at), when],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def forked(action: Callable[[], None]) -> int:
    """The exit status of a child of this process that does this and ends; much faster than a new one."""
    child = os.fork()
    if child == 0:
        try:
            action()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.parametrize("when", ["before_cursor_execute", "after_cursor_execute"])
def test_a_kill_around_any_statement_costs_nothing(tmp_path: Path, when: str) -> None:
    """Every statement of a whole run is a place to be killed at, and the next run ends as if nothing was."""
    steps = later_steps(tmp_path / "steps")
    whole = tmp_path / "whole.sqlite"
    places = statements_of_a_run(whole, steps)
    wanted = shape(whole)
    assert places > 20
    for place in range(1, places + 1):
        path = tmp_path / f"{when}-{place}.sqlite"
        assert forked(lambda: killed_at(path, steps, when, place)) == signal.SIGKILL  # noqa: B023 - run at once
        migrations(path, steps).run()
        assert shape(path) == wanted
        inbox = Inbox(path, create=False)
        assert [receipt.status for receipt in inbox.append([event()], "web")] == ["accepted"]
        inbox.close()


def statements_of_a_run(path: Path, steps: Path) -> int:
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", counted)
    try:
        migrations(path, steps).run()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", counted)
    return count


def killed_at(path: Path, steps: Path, when: str, place: int) -> None:
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1
        if count == place:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, when, counted)
    migrations(path, steps).run()


def test_of_several_at_once_one_migrates_and_the_others_wait(tmp_path: Path) -> None:
    path, steps = tmp_path / "inbox.sqlite", later_steps(tmp_path / "steps")
    many = [runner(path, steps) for _ in range(3)]
    for process in many:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("go\n", timeout=30) for process in many]
    assert [process.returncode for process in many] == [0, 0, 0], said
    applied = [out.split()[1:] for out, _ in said]
    assert sorted(applied) == [[], [], [REVISION, "two", "three", "four"]]


def test_the_lock_is_waited_for_and_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    path, steps = tmp_path / "inbox.sqlite", later_steps(tmp_path / "steps")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{path}.migrating"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiting = runner(path, steps)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.communicate("go\n", timeout=2)
    assert not path.exists()
    holder.kill()
    holder.communicate()
    out, errors = waiting.communicate(timeout=30)
    assert (waiting.returncode, out.split()[2:]) == (0, [REVISION, "two", "three", "four"]), errors


# --- the verb ---------------------------------------------------------------------------------------------


def migrate(state: Path, *, check: bool = False) -> tuple[bool, dict[str, Any]]:
    answer = run(Namespace(check=check), MlSettings(state=state))
    return answer.yes, answer.report


def test_the_verb_says_what_is_missing_and_adds_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    short = {name: kind for name, kind in SCHEMAS["quarantine"].items() if name != "source"}
    lake._commit("quarantine", pl.DataFrame(schema=short), "append")

    yes, report = migrate(tmp_path, check=True)
    assert (yes, report["inbox"]["steps"], report["lake"]) == (False, [REVISION], {"quarantine": ["source"]})
    assert not (tmp_path / "inbox.sqlite").exists()

    assert migrate(tmp_path) == (
        True,
        {**report, "inbox": {"revision": REVISION, "steps": [REVISION]}, "checked": False},
    )
    assert lake.missing("quarantine", SCHEMAS["quarantine"]) == {}
    yes, report = migrate(tmp_path, check=True)
    assert (yes, report["inbox"], report["lake"]) == (True, {"revision": REVISION, "steps": []}, {})


KILLED_IN_THE_LAKE = """
import os, signal, sys
from argparse import Namespace
from pathlib import Path
from deltalake.table import TableAlterer
from ml.settings import MlSettings
from ml.verbs.migrate import run

add, count, early = TableAlterer.add_columns, 0, sys.argv[3] == "before"

def killing(*arguments, **options):
    global count
    count += 1
    if count == int(sys.argv[2]) and early:
        os.kill(os.getpid(), signal.SIGKILL)
    add(*arguments, **options)
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

TableAlterer.add_columns = killing
run(Namespace(check=False), MlSettings(state=Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("place", "when"), [(1, "after"), (2, "before")])
def test_a_kill_between_two_tables_of_the_lake_costs_nothing(tmp_path: Path, place: int, when: str) -> None:
    lake = Lake(tmp_path / "lake")
    for table in ("quarantine", "data_versions"):
        short = dict(list(SCHEMAS[table].items())[1:])
        lake._commit(table, pl.DataFrame(schema=short), "append")
    command = [sys.executable, "-c", KILLED_IN_THE_LAKE, str(tmp_path), str(place), when]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    _, report = migrate(tmp_path, check=True)
    assert (len(report["lake"]), report["inbox"]["steps"]) == (1, [])
    migrate(tmp_path)
    for table in ("quarantine", "data_versions"):
        assert (lake.missing(table, SCHEMAS[table]), lake.version(table)) == ({}, 1)


def test_the_command_line_checks_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_STATE", str(tmp_path / "state"))
    assert main(["migrate", "--check"]) == 1
    assert json.loads(capsys.readouterr().out)["inbox"] == {"revision": None, "steps": [REVISION]}
    (tmp_path / "state").write_text("")
    assert main(["migrate"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (str(tmp_path / "state") in report["error"], report["check"]) == (True, "store-unavailable")
