"""At every moment exactly one person per level, also where clocks change; the oracle reads the wall clock."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.oncall.rota import Rota
from apps.oncall.schedule import escalation, later, on_call, opens

ZONES = ("Europe/Istanbul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
NAMES = ("ann", "ben", "cem", "dia")
MINUTE = timedelta(minutes=1)


def rota(zone: str, begin: date, at: str, people: list[str], overrides: list[dict[str, Any]]) -> Rota:
    return Rota.model_validate(
        {
            "zone": zone,
            "people": {name: {"name": name, "mail": f"{name}@x.example"} for name in NAMES},
            "rotas": {"first": {"from": begin, "at": at, "people": people, "overrides": overrides}},
            "office": {"days": ["monday", "friday"], "from": "09:00", "until": "17:30"},
            "policies": {
                "page": {"levels": [{"who": "first", "wait": "5m"}, {"who": "dia", "wait": "10m"}]},
                "ticket": {"hours": "office", "levels": [{"who": "first", "wait": "4h"}]},
            },
        }
    )


def walked(zone: str, begin: date, at: str, people: list[str], first: datetime) -> dict[datetime, str]:
    """Who is on call at each quarter of an hour of two days: the handover is done once the wall has shown its time."""
    wall, found = ZoneInfo(zone), {}
    moment = first
    for _ in range(2 * 96):
        shown = moment.astimezone(wall)
        day = shown.date()
        passed = (day - begin).days
        week = passed // 7
        if passed % 7 == 0 and not _has_struck(moment, wall, day, at):
            week -= 1
        found[moment] = people[week % len(people)]
        moment += 15 * MINUTE
    return found


def _has_struck(moment: datetime, wall: ZoneInfo, day: date, at: str) -> bool:
    """Whether the wall has shown `at` on this day by now, by looking at each quarter since midnight."""
    quarter = moment
    while (shown := quarter.astimezone(wall)).date() == day:
        if f"{shown:%H:%M}" == at:
            return True
        quarter -= 15 * MINUTE
    return False


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.sampled_from(ZONES),
    st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    st.sampled_from(["00:00", "00:15", "09:00", "12:30", "17:45", "23:45"]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4),
    st.integers(-20, 20),
)
def test_everybody_takes_turns_as_the_wall_clock_says(
    zone: str, begin: date, at: str, people: list[str], weeks: int
) -> None:
    made = rota(zone, begin, at, people, [])
    first = datetime(begin.year, begin.month, begin.day, tzinfo=UTC) + timedelta(weeks=weeks, hours=-12)
    expected = walked(zone, begin, at, people, first)
    assert {moment: on_call(made, "first", moment) for moment in expected} == expected


@pytest.mark.parametrize(
    ("zone", "day", "at", "before", "after"),
    [
        # Clocks go forward over the handover: 02:30 does not come, it is where 03:30 stands.
        ("Europe/Berlin", date(2026, 3, 29), "02:30", "2026-03-29T01:29+00:00", "2026-03-29T01:30+00:00"),
        # They go back, and 02:30 comes twice: the first counts, and nobody hands over twice.
        ("Europe/Berlin", date(2026, 10, 25), "02:30", "2026-10-25T00:29+00:00", "2026-10-25T00:30+00:00"),
        ("Europe/Berlin", date(2026, 10, 25), "02:30", "2026-10-18T00:30+00:00", "2026-10-25T01:31+00:00"),
        # Half an hour only.
        (
            "Australia/Lord_Howe",
            date(2026, 4, 5),
            "09:00",
            "2026-04-04T22:29+00:00",
            "2026-04-04T22:30+00:00",
        ),
    ],
)
def test_a_handover_while_clocks_change_is_one_handover(
    zone: str, day: date, at: str, before: str, after: str
) -> None:
    made = rota(zone, day, at, ["ann", "ben"], [])
    assert on_call(made, "first", datetime.fromisoformat(before)) == "ben"
    assert on_call(made, "first", datetime.fromisoformat(after)) == "ann"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 24 * 14), min_size=2, max_size=8, unique=True), st.integers(0, 24 * 14 * 4))
def test_an_override_holds_from_its_begin_and_not_at_its_end(hours: list[int], quarter: int) -> None:
    begin = datetime(2026, 3, 20, tzinfo=UTC)
    marks = sorted(hours)
    spans = list(zip(marks[::2], marks[1::2], strict=False))
    overrides = [
        {"from": begin + timedelta(hours=start), "until": begin + timedelta(hours=end), "person": "dia"}
        for start, end in spans
    ]
    made = rota("Europe/Berlin", date(2026, 3, 20), "09:00", ["ann", "ben"], overrides)
    moment = begin + timedelta(minutes=15 * quarter)
    inside = any(start <= quarter / 4 < end for start, end in spans)
    assert (on_call(made, "first", moment) == "dia") == inside


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(ZONES),
    st.integers(0, 60 * 24 * 14),
    st.integers(1, 60 * 20),
)
def test_waits_of_an_office_are_the_minutes_in_which_it_is_open(zone: str, start: int, wait: int) -> None:
    """The oracle counts minutes; a wait that ends as the office closes ends as it opens again."""
    made, wall = rota(zone, date(2026, 3, 20), "09:00", ["ann"], []), ZoneInfo(zone)
    moment = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(minutes=start)

    def is_open(at: datetime) -> bool:
        shown = at.astimezone(wall)
        return shown.weekday() in (0, 4) and "09:00" <= f"{shown:%H:%M}" < "17:30"

    policy, left, at = made.policies.ticket, wait, moment
    while left or not is_open(at):
        left -= is_open(at)
        at += MINUTE
    assert later(made, policy, moment, wait * MINUTE) == at
    opening = moment
    while not is_open(opening):
        opening += MINUTE
    assert opens(made, policy, moment) == opening


def test_each_level_has_exactly_one_person_of_the_file_at_any_moment() -> None:
    made = rota("Europe/Berlin", date(2026, 3, 23), "09:00", ["ann", "ben", "cem"], [])
    for hour in range(24 * 30):
        told = escalation(made, "page", datetime(2026, 3, 15, tzinfo=UTC) + timedelta(hours=hour))
        assert [each.level for each in told] == [1, 2]
        assert {each.person for each in told} <= set(NAMES)
