"""The inbox in PostgreSQL keeps the same promise as the one in a file, whoever writes and whatever stops."""

import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

import ml.postgresql_inbox
from ml.errors import StoreUnavailable
from ml.event_store import Receipt, StoredEvent
from ml.inbox_location import DatabaseUrl, Password
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.postgresql_inbox import PostgresqlInbox, insertion
from ml.settings import MlSettings
from tests.apps.collector.campaign import Campaign, postgresql_ids
from tests.apps.collector.senders import KEY, NO_FAULTS, PSEUDONYM_KEY, faults, sending
from tests.apps.process import listener, running
from tests.ml.racing_writers import each_event_thrice
from tests.ml.test_events import event
from tests.postgresql import OWNER, Server, postgresql

pytestmark = pytest.mark.system

MEBIBYTE = 1024 * 1024
LOCK = f"SELECT pg_advisory_xact_lock({ml.postgresql_inbox.WRITERS_LOCK})"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running_server:
        yield running_server


@pytest.fixture
def url(server: Server) -> DatabaseUrl:
    """An empty inbox."""
    return server.new_inbox()


def test_events_come_back_in_the_order_they_were_accepted(url: DatabaseUrl) -> None:
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    inbox = PostgresqlInbox(url, clock=lambda: moment)
    events = [
        event(event_id=f"e-{i}", campaign=text) for i, text in ((3, "a\\b"), (1, "\\."), (2, "it's — é"))
    ]
    assert inbox.append(events, "web's") == [Receipt(f"e-{i}", "accepted") for i in (3, 1, 2)]
    assert inbox.after(0, 10) == [StoredEvent(i + 1, events[i], "web's", moment) for i in range(3)]
    assert [stored.event.event_id for stored in inbox.after(1, 1)] == ["e-1"]
    assert (inbox.last_seq(), inbox.count(), inbox.append([], "web")) == (3, 3, [])
    other = PostgresqlInbox(url)
    assert other.identity == inbox.identity
    inbox.close()
    other.close()


def test_the_same_id_is_accepted_once_and_other_content_is_a_conflict(url: DatabaseUrl) -> None:
    inbox = PostgresqlInbox(url)
    inside = [event(), event(), event(quantity=3), event(event_id="e-2")]
    statuses = [receipt.status for receipt in inbox.append(inside, "web")]
    assert statuses == ["accepted", "duplicate", "conflict", "accepted"]
    again = [receipt.status for receipt in inbox.append(inside, "web")]
    assert again == ["duplicate", "duplicate", "conflict", "duplicate"]
    assert [stored.event.quantity for stored in inbox.after(0, 10)] == [2, 2]
    inbox.close()


def test_each_event_sent_thrice_by_eight_writers_is_stored_once(server: Server, url: DatabaseUrl) -> None:
    assert each_event_thrice(lambda: PostgresqlInbox(url), 400, seed=7) == {"accepted": 400, "duplicate": 800}
    assert server.run("SELECT count(*), count(DISTINCT event_id) FROM events") == [[400, 400]]


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "control"])
def test_a_reader_misses_no_row_that_is_committed_later(
    server: Server, url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    """Every commit takes a random while; without the writers' lock the reader passes rows over, and this sees it."""

    def slower(accepted_at: str) -> str:
        slow = "DO $$ BEGIN PERFORM pg_sleep(random() * 0.02); END $$; COMMIT"
        text = insertion(accepted_at).replace("COMMIT", slow)
        return text if locked else text.replace(LOCK, "SELECT 1")

    assert LOCK in insertion("t")
    monkeypatch.setattr("ml.postgresql_inbox.insertion", slower)

    def write(name: str) -> None:
        inbox = PostgresqlInbox(url)
        for number in range(25):
            inbox.append([event(event_id=f"{name}-{number}-{place}") for place in range(3)], "test")
        inbox.close()

    writers = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
    for writer in writers:
        writer.start()
    reader, read, last, more = PostgresqlInbox(url), [], 0, True
    while more:
        more = any(writer.is_alive() for writer in writers)
        for stored in reader.after(last, 1000):
            read.append(stored.event.event_id)
            last = stored.seq
    reader.close()
    missed = {str(row[0]) for row in server.run("SELECT event_id FROM events")} - set(read)
    assert len(read) == len(set(read))
    assert (missed == set()) is locked


def test_a_lost_connection_and_a_read_only_server_are_told_and_keep_nothing(
    server: Server, url: DatabaseUrl
) -> None:
    inbox = PostgresqlInbox(url)
    inbox.append([event()], "web")
    server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inbox'", "postgres"
    )
    with pytest.raises(StoreUnavailable, match=r"cannot be used \(.*none of what was sent was kept"):
        inbox.append([event(event_id="e-2")], "web")
    server.run("ALTER DATABASE inbox SET default_transaction_read_only = on", "postgres")
    standby = PostgresqlInbox(url)
    assert standby.count() == 1
    with pytest.raises(StoreUnavailable, match=r"read-only transaction, SQLSTATE 25006\); none"):
        standby.append([], "web")


def test_the_message_that_commits_and_is_not_answered_leaves_the_fate_open(
    server: Server, url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = PostgresqlInbox(url)
    kill = "DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$; COMMIT"
    monkeypatch.setattr(
        "ml.postgresql_inbox.insertion", lambda *given: insertion(*given).replace("COMMIT", kill)
    )
    with pytest.raises(StoreUnavailable, match="whether what was sent was kept is not known"):
        inbox.append([event()], "web")
    assert server.run("SELECT count(*) FROM events") == [[0]]


def test_a_database_without_tables_names_the_command_that_makes_them(server: Server) -> None:
    with pytest.raises(StoreUnavailable, match="run `python -m ml migrate` first"):
        PostgresqlInbox(DatabaseUrl("127.0.0.1", server.port, "postgres", OWNER))


def test_a_password_is_asked_for_and_never_told(server: Server, url: DatabaseUrl, tmp_path: Path) -> None:
    access = server.folder / "data" / "pg_hba.conf"
    before = access.read_text()
    try:
        server.run(
            "CREATE ROLE guest LOGIN PASSWORD 'the-right-word'; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest"
        )
        access.write_text(f"host all guest 127.0.0.1/32 scram-sha-256\n{before}")
        server.run("SELECT pg_reload_conf()")
        guest = DatabaseUrl(url.host, url.port, url.database, "guest")
        file = tmp_path / "password"
        file.write_text("the-right-word\n")
        PostgresqlInbox(guest, Password(file=file)).close()
        wrong = Password(SecretStr("the-wrong-word"))
        with pytest.raises(StoreUnavailable, match="password authentication failed") as caught:
            PostgresqlInbox(guest, wrong)
        assert "the-wrong-word" not in f"{caught.value!r} {caught.value.__cause__!r} {wrong!r} {guest!r}"
    finally:
        access.write_text(before)
        server.run("SELECT pg_reload_conf()")


def test_the_lake_takes_what_the_database_accepted_once(url: DatabaseUrl, tmp_path: Path) -> None:
    inbox, lake = PostgresqlInbox(url), Lake(tmp_path / "lake")
    settings = MlSettings(state=tmp_path)
    inbox.append([event(event_id=f"e-{number}") for number in range(5)], "web")
    assert (drain_inbox(inbox, lake, settings).accepted, drain_inbox(inbox, lake, settings).rows) == (5, 0)
    inbox.close()


@pytest.mark.parametrize("blows", [2, pytest.param(200, marks=pytest.mark.soak)])
def test_a_killed_collector_loses_doubles_and_halves_nothing(
    server: Server, url: DatabaseUrl, blows: int
) -> None:
    campaign = Campaign(str(url), lambda: postgresql_ids(server), seed=7)
    campaign.kill_collectors(blows)
    report = campaign.report()
    assert report["faults"] == NO_FAULTS, report
    assert report["acknowledged"] > 20 * blows


@pytest.mark.parametrize("blows", [2, pytest.param(50, marks=pytest.mark.soak)])
def test_an_immediate_stop_of_the_database_loses_nothing_and_is_answered_503(
    server: Server, url: DatabaseUrl, blows: int
) -> None:
    campaign = Campaign(str(url), lambda: postgresql_ids(server), seed=7)
    campaign.stop_database(server, blows)
    report = campaign.report()
    assert report["faults"] == NO_FAULTS, report
    assert report["acknowledged"] > 20 * blows
    assert campaign.refusals
    assert {refusal.partition(" {")[0] for refusal in campaign.refusals} == {"503 retry-after=5"}


def test_a_server_that_loses_what_it_committed_is_caught(server: Server, url: DatabaseUrl) -> None:
    """The control of both: rows that were acknowledged are taken away, one of a batch."""
    campaign = Campaign(str(url), lambda: postgresql_ids(server)[1:], seed=7)
    campaign.kill_collectors(1)
    assert campaign.report()["faults"]["lost"] > 0


@pytest.mark.parametrize(
    ("silent_seconds", "deadline_seconds", "batch"),
    [(5.0, 3.0, 200), pytest.param(30.0, 10.0, 1000, marks=pytest.mark.soak)],
)
def test_a_database_that_falls_silent_costs_no_memory_and_no_request_its_deadline(
    server: Server, url: DatabaseUrl, silent_seconds: float, deadline_seconds: float, batch: int
) -> None:
    """Every process of the server is stopped under load and goes on later."""
    variables = {
        "COLLECTOR_INBOX": str(url),
        "COLLECTOR_API_KEY": KEY,
        "COLLECTOR_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "COLLECTOR_WRITE_TIMEOUT_SECONDS": str(deadline_seconds),
    }
    with listener() as bound, running("apps.collector", variables, bound) as process:
        memory = psutil.Process(process.popen.pid).memory_info
        with sending(process.port, seed=7, senders=12, batch=batch) as senders:
            time.sleep(4)
            before, peak = memory().rss, 0
            server.pause()
            try:
                until = time.monotonic() + silent_seconds
                while time.monotonic() < until:
                    peak = max(peak, memory().rss)
                    time.sleep(0.05)
            finally:
                server.go_on()
            resumed = time.monotonic()
        told = senders.told()
    recovery = min(moment for moment in told.heard_at if moment > resumed) - resumed
    grown, longest = (peak - before) / MEBIBYTE, max(told.seconds)
    logging.getLogger(__name__).info(
        "grown %.1f MiB, longest %.2f s, recovery %.2f s", grown, longest, recovery
    )
    assert told.refusals
    assert grown <= 64
    assert longest <= deadline_seconds
    assert recovery <= 5
    assert faults(told, postgresql_ids(server)) == NO_FAULTS
