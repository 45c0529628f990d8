"""What becomes of an incident: opened once, told level by level, acknowledged, resolved, reopened."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from apps.chassis.problems import Problem
from apps.oncall.book import Book
from apps.oncall.incidents import Incidents
from apps.oncall.rota_file import RotaFile
from apps.oncall.schemas import SentGroup
from apps.oncall.tables import ALERTS, INCIDENTS, NOTIFICATIONS
from tests.apps.oncall.world import MONDAY, Clock, alert, database, group, settings


class Desk:
    """Incidents over a database in a folder, at a time that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        given = settings(folder)
        self.database = database(folder)
        self.book = Book(self.database, RotaFile(given.rota), given, self.clock)

    def do(self, name: str, *arguments: Any) -> Any:
        """One change in one transaction."""
        with self.database.writing() as connection:
            return getattr(self.book.incidents(connection), name)(*arguments)

    def take(self, sent: dict[str, Any], severity: str = "page") -> int | None:
        """A notification."""
        taken: int | None = self.do("take", severity, SentGroup.model_validate(sent))
        return taken

    def rows(self, table: sa.Table) -> list[Any]:
        """All rows in the order they were made."""
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(table).order_by(*table.primary_key)))

    def told(self) -> list[str]:
        """Targets of all messages."""
        return [row.target for row in self.rows(NOTIFICATIONS)]

    def tick(self, **time: float) -> int:
        """Let time go and timers fire."""
        self.clock.go(**time)
        fired: int = self.do("fire_due_timers")
        return fired


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.database.close()


def test_the_same_notification_twice_is_one_incident_and_one_message_each(desk: Desk) -> None:
    assert desk.take(group()) == desk.take(group()) == 1
    assert len(desk.rows(INCIDENTS)) == len(desk.rows(ALERTS)) == 1
    assert desk.told() == ["ayse", "slack"]


def test_another_group_or_severity_is_another_incident(desk: Desk) -> None:
    assert [desk.take(group()), desk.take(group(key="g2")), desk.take(group(), "ticket")] == [1, 2, 3]


def test_nobody_answers_so_level_after_level_is_told_in_each_round_and_then_nobody(desk: Desk) -> None:
    desk.take(group())
    waits = [5, 10, 30, 5, 10, 30]
    for minutes in waits:
        assert desk.tick(minutes=minutes, seconds=-1) == 0
        assert desk.tick(seconds=1) == 1
    assert [name for name in desk.told() if name != "slack"] == ["ayse", "deniz", "can"] * 2
    assert desk.tick(days=1) == 0
    assert desk.rows(INCIDENTS)[0].status == "open"


def test_an_acknowledgement_stops_it_and_says_who(desk: Desk) -> None:
    desk.take(group())
    desk.do("acknowledge", 1, "ayse", "on it")
    desk.do("acknowledge", 1, "deniz", "")
    assert desk.tick(days=1) == 0
    row = desk.rows(INCIDENTS)[0]
    assert (row.status, row.acknowledged_by, row.acknowledged_at) == ("acknowledged", "ayse", MONDAY)
    desk.take(group())
    assert desk.told() == ["ayse", "slack"]


def test_it_ends_when_the_last_alert_ends_and_everybody_who_was_told_hears_it(desk: Desk) -> None:
    desk.take(group(alert("f1"), alert("f2")))
    desk.tick(minutes=5)
    desk.take(group(alert("f1", status="resolved"), alert("f2")))
    assert desk.rows(INCIDENTS)[0].status == "open"
    desk.take(group(alert("f2", status="resolved")))
    assert desk.rows(INCIDENTS)[0].status == "resolved"
    assert desk.told() == ["ayse", "slack", "deniz", "ayse", "deniz", "slack"]
    assert desk.tick(days=1) == 0


def test_an_alert_that_the_newest_notification_leaves_out_no_longer_fires(desk: Desk) -> None:
    desk.take(group(alert("f1"), alert("f2")))
    desk.take(group(alert("f2")))
    assert [row.status for row in desk.rows(ALERTS)] == ["resolved", "firing"]


def test_a_list_that_was_cut_says_nothing_of_those_it_leaves_out(desk: Desk) -> None:
    desk.take(group(alert("f1"), alert("f2")))
    desk.take(group(alert("f2", status="resolved"), truncated=1))
    assert [row.status for row in desk.rows(ALERTS)] == ["firing", "resolved"]
    assert desk.rows(INCIDENTS)[0].status == "open"


@pytest.mark.parametrize(("minutes", "incidents"), [(14, 1), (16, 2)])
def test_what_comes_back_soon_is_the_same_incident_and_pages_again(
    desk: Desk, minutes: float, incidents: int
) -> None:
    desk.take(group())
    desk.do("acknowledge", 1, "ayse", "")
    desk.take(group(alert(status="resolved")))
    before = len(desk.told())
    desk.clock.go(minutes=minutes)
    assert desk.take(group()) == incidents
    assert len(desk.rows(INCIDENTS)) == incidents
    assert desk.rows(INCIDENTS)[-1].status == "open"
    assert desk.told()[before:] == ["ayse", "slack"]


def test_the_end_of_an_alarm_that_nobody_knew_opens_nothing(desk: Desk) -> None:
    assert desk.take(group(alert(status="resolved"))) is None
    assert desk.rows(INCIDENTS) == []


def test_a_ticket_waits_for_the_office_and_its_waits_count_open_hours(desk: Desk) -> None:
    """Tuesday 17:00 in Istanbul: 8 hours of the office end on Monday at 15:00."""
    desk.clock.now = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
    desk.take(group(), "ticket")
    assert desk.told() == ["ayse"]
    assert desk.rows(INCIDENTS)[0].escalate_at == datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def test_a_ticket_at_night_tells_nobody_before_the_office_opens(desk: Desk) -> None:
    desk.clock.now = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
    desk.take(group(), "ticket")
    assert desk.told() == []
    assert desk.rows(INCIDENTS)[0].escalate_at == datetime(2026, 11, 30, 5, 0, tzinfo=UTC)
    assert desk.tick(days=5, hours=9) == 1
    assert desk.told() == ["ayse"]  # the handover is at nine


def test_escalating_by_hand_tells_the_next_level_and_takes_an_acknowledgement_back(desk: Desk) -> None:
    desk.take(group())
    desk.do("acknowledge", 1, "ayse", "")
    desk.do("escalate", 1, "ayse", "I need help")
    assert desk.told()[-1] == "deniz"
    assert desk.tick(minutes=10) == 1


@pytest.mark.parametrize("action", ["acknowledge", "escalate"])
def test_what_is_resolved_stays_so(desk: Desk, action: str) -> None:
    desk.take(group())
    desk.do("resolve", 1, "ayse", "")
    desk.do("resolve", 1, "ayse", "")
    with pytest.raises(Problem, match="is resolved") as refused:
        desk.do(action, 1, "ayse", "")
    assert refused.value.status_code == 409
    desk.do("note", 1, "ayse", "it was the disk")


def test_an_unknown_incident_is_a_404(desk: Desk) -> None:
    with pytest.raises(Problem, match="no incident 7") as refused:
        desk.do("resolve", 7, "ayse", "")
    assert refused.value.status_code == 404


def test_a_timer_fires_once_also_when_two_processes_look(desk: Desk, tmp_path: Path) -> None:
    desk.take(group())
    other = Desk(tmp_path)
    other.clock = desk.clock
    other.book = Book(other.database, desk.book.rota, desk.book.settings, desk.clock)
    assert [desk.tick(minutes=5), other.tick(), desk.tick()] == [1, 0, 0]
    other.database.close()


def test_a_change_that_fails_half_way_changes_nothing(desk: Desk) -> None:
    def failing() -> None:
        with desk.database.writing() as connection:
            Incidents(connection, MONDAY, desk.book.rota.current()).take(
                "page", SentGroup.model_validate(group())
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert desk.rows(INCIDENTS) == desk.rows(NOTIFICATIONS) == []


def test_waits_are_those_of_the_rota(desk: Desk) -> None:
    desk.take(group())
    assert desk.rows(INCIDENTS)[0].escalate_at == MONDAY + timedelta(minutes=5)
