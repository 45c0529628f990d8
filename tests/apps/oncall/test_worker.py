"""Timers, the dead-man switch, the lease and the outbox, turn by turn at a time that the test sets."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from apps.oncall import dead_man
from apps.oncall.book import Book
from apps.oncall.database import Database
from apps.oncall.measures import Measures
from apps.oncall.rota import Rota
from apps.oncall.rota_file import RotaFile
from apps.oncall.schemas import SentGroup
from apps.oncall.senders import Message, NotSent
from apps.oncall.tables import INCIDENTS, NOTIFICATIONS
from apps.oncall.worker import Worker
from ml.errors import StoreUnavailable
from tests.apps.oncall.world import Clock, database, group, settings

RUNBOOK = "https://git.example.com/runbook.md"


class Killed(BaseException):
    """The process dies here."""


class Post:
    """Writes down what was sent, or fails as it is told."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fault: BaseException | None = None
        self.dies_after = False

    def __call__(self, message: Message, rota: Rota) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append(message.message_id)
        if self.dies_after:
            raise Killed


class Shop:
    """Workers over one database."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.post = folder, Clock(), Post()
        self.database = database(folder)
        self.registry = CollectorRegistry()
        self.measures = Measures(self.registry)
        given = settings(folder, runbook_url=RUNBOOK)
        self.book = Book(self.database, RotaFile(given.rota), given, self.clock)

    def worker(self) -> Worker:
        """A process of its own."""
        return Worker(self.book, {"mail": self.post, "slack": self.post}, self.measures)

    def alarm(self, key: str = "g1") -> None:
        """An alarm comes."""
        with self.database.writing() as connection:
            self.book.incidents(connection).take("page", SentGroup.model_validate(group(key=key)))

    def beat(self) -> None:
        """The heartbeat comes."""
        with self.database.writing() as connection:
            dead_man.heard(self.book.incidents(connection))

    def rows(self, table: sa.Table) -> list[Any]:
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))

    def gauge(self, name: str) -> float:
        value = self.registry.get_sample_value(f"oncall_{name}")
        assert value is not None
        return value


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.database.close()


def test_one_of_two_works_and_the_other_takes_over_when_it_falls_silent(shop: Shop) -> None:
    one, other = shop.worker(), shop.worker()
    shop.alarm()
    one.keep_time()
    assert [other.deliver("mail"), one.deliver("mail")] == [False, True]
    shop.clock.go(seconds=11)
    assert other.deliver("slack")
    assert not one.deliver("slack")
    assert len(set(shop.post.sent)) == len(shop.post.sent) == 2


def test_two_processes_escalate_once(shop: Shop) -> None:
    one, other = shop.worker(), shop.worker()
    shop.alarm()
    shop.clock.go(minutes=5)
    assert [one.keep_time(), other.keep_time(), one.keep_time()] == [True, False, False]
    assert [row.target for row in shop.rows(NOTIFICATIONS)] == ["ayse", "slack", "deniz"]


def test_a_process_that_ends_in_order_hands_over_at_once(shop: Shop) -> None:
    one, other = shop.worker(), shop.worker()
    shop.alarm()
    one.keep_time()
    one.start()
    one.stop()
    other.keep_time()
    assert shop.gauge("leader") == 1.0


def test_what_was_under_way_when_the_process_died_is_sent_again_under_the_same_id(shop: Shop) -> None:
    shop.alarm()
    shop.post.dies_after = True
    with pytest.raises(Killed):
        shop.worker().deliver("mail")
    shop.post.dies_after = False
    successor = shop.worker()
    assert not successor.deliver("mail"), "the lease of the dead lasts a little"
    shop.clock.go(seconds=11)
    assert [successor.deliver("mail"), successor.deliver("mail")] == [True, False]
    assert len(shop.post.sent) == 2
    assert len(set(shop.post.sent)) == 1


@pytest.mark.parametrize("fault", [NotSent("no"), ValueError("a defect")])
def test_a_failure_is_tried_again_with_growing_pauses_and_given_up_after_a_day(
    shop: Shop, fault: Exception
) -> None:
    shop.alarm()
    worker, pauses = shop.worker(), []
    shop.post.fault = fault
    for _ in range(9):
        assert worker.deliver("mail")
        due = shop.rows(NOTIFICATIONS)[0].due_at
        pauses.append((due - shop.clock.now).total_seconds())
        shop.clock.now = due
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    shop.clock.go(days=1)
    assert worker.deliver("mail")
    assert not worker.deliver("mail")
    row = shop.rows(NOTIFICATIONS)[0]
    assert row.error.startswith("given up: ")
    assert row.sent_at is None
    labels = {"transport": "mail", "result": "given_up"}
    assert shop.registry.get_sample_value("oncall_notifications_total", labels) == 1


def test_a_message_that_was_sent_is_settled_once_the_database_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.alarm()
    worker, whole, failures = shop.worker(), Database.writing, [1, 1]

    def writing(database: Database) -> Any:
        if shop.post.sent and failures:
            failures.pop()
            raise StoreUnavailable("gone")
        return whole(database)

    monkeypatch.setattr(Database, "writing", writing)
    assert worker.deliver("mail")
    assert shop.rows(NOTIFICATIONS)[0].sent_at == shop.clock.now
    assert len(shop.post.sent) == 1


def test_silence_of_the_heartbeat_pages_once_and_its_return_ends_it(shop: Shop) -> None:
    worker = shop.worker()
    worker.keep_time()
    shop.clock.go(seconds=300)
    worker.keep_time()
    assert shop.rows(INCIDENTS) == []
    shop.clock.go(seconds=1)
    for _ in range(3):
        worker.keep_time()
    (incident,) = shop.rows(INCIDENTS)
    assert (incident.severity, incident.title, incident.status) == (
        "page",
        "HeartbeatSilent (alerting)",
        "open",
    )
    assert incident.runbook_url == f"{RUNBOOK}#heartbeatsilent"
    shop.beat()
    assert shop.rows(INCIDENTS)[0].status == "resolved"


def test_a_heartbeat_that_comes_keeps_it_quiet(shop: Shop) -> None:
    worker = shop.worker()
    for _ in range(4):
        shop.beat()
        worker.keep_time()
        shop.clock.go(seconds=200)
    assert shop.rows(INCIDENTS) == []


def test_a_process_that_has_only_begun_has_not_missed_a_heartbeat(shop: Shop) -> None:
    shop.beat()
    shop.clock.go(hours=3)
    worker = shop.worker()
    worker.keep_time()
    assert shop.rows(INCIDENTS) == []
    shop.clock.go(seconds=301)
    worker.keep_time()
    assert len(shop.rows(INCIDENTS)) == 1


def test_prometheus_is_told_of_what_waits(shop: Shop) -> None:
    worker = shop.worker()
    worker.keep_time()
    shop.alarm()
    shop.clock.go(minutes=7)
    worker.keep_time()
    assert shop.gauge("queue_messages") == 2
    assert shop.gauge("queue_age_seconds") == 420
    assert shop.gauge("timer_late_seconds") == 120
    assert shop.gauge("heartbeat_age_seconds") == 420
    assert shop.gauge("database_up") == 1


def test_a_clock_that_goes_back_fires_no_timer_twice(shop: Shop) -> None:
    worker = shop.worker()
    shop.alarm()
    shop.clock.go(minutes=5)
    worker.keep_time()
    shop.clock.now -= timedelta(minutes=4)
    worker.keep_time()
    shop.clock.go(minutes=4)
    worker.keep_time()
    assert [row.target for row in shop.rows(NOTIFICATIONS)] == ["ayse", "slack", "deniz"]


def test_rows_of_the_trail_can_be_neither_changed_nor_deleted(shop: Shop) -> None:
    shop.alarm()
    raw = sqlite3.connect(shop.folder / "oncall.sqlite")
    for statement in ("UPDATE trail SET entry = ''", "DELETE FROM trail"):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            raw.execute(statement)
    raw.close()
