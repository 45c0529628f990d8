"""Who is on call at a moment, and when the office is open: pure functions of the rota."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apps.oncall.rota import DAYS, Office, Policy, Rota, WeeklyRota

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Told:
    """Who is responsible at one level of an escalation, and when they hear of it."""

    level: int
    who: str
    person: str
    at: datetime


def on_call(rota: Rota, who: str, at: datetime) -> str:
    """The one person that `who`, a rota or a person, means at an aware moment."""
    weekly = rota.rotas.get(who)
    if weekly is None:
        return who
    for override in weekly.overrides:
        if rota.instant(override.begin) <= at < rota.instant(override.end):
            return override.person
    return weekly.people[_week(rota, weekly, at) % len(weekly.people)]


def _week(rota: Rota, weekly: WeeklyRota, at: datetime) -> int:
    """Handovers since the first, below zero before it; a shift is as long as the clock on the wall says."""
    week = (at.astimezone(rota.zone).date() - weekly.begin).days // 7
    return week if _handover(rota, weekly, week) <= at else week - 1


def _handover(rota: Rota, weekly: WeeklyRota, week: int) -> datetime:
    """A time that clocks pass over is as long after midnight as they would have shown without."""
    return rota.instant(datetime.combine(weekly.begin + week * _WEEK, weekly.at))


def opens(rota: Rota, policy: Policy, at: datetime) -> datetime:
    """The first moment from `at` on at which the policy's people are told."""
    if policy.hours == "always":
        return at
    return next(max(at, begin) for begin, end in _open(rota, rota.office, at) if end > at)


def later(rota: Rota, policy: Policy, at: datetime, wait: timedelta) -> datetime:
    """`wait` after `at`; of an office's policy only open hours count, so its end is in one, too."""
    if policy.hours == "always":
        return at + wait
    for begin, end in _open(rota, rota.office, at):
        start = max(at, begin)
        if start >= end:
            continue
        if wait < end - start:
            return start + wait
        wait -= end - start
    raise AssertionError  # the office opens again for ever


def _open(rota: Rota, office: Office, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Hours in which the office is open, from the day before `at` on."""
    day = at.astimezone(rota.zone).date() - timedelta(days=1)
    while True:
        if DAYS[day.weekday()] in office.days and day not in office.closed:
            begin, end = (
                rota.instant(datetime.combine(day, moment)) for moment in (office.begin, office.end)
            )
            yield begin, end
        day += timedelta(days=1)


def escalation(rota: Rota, severity: str, at: datetime) -> list[Told]:
    """Who is told of an incident that begins at `at` and that nobody acknowledges, level by level."""
    policy, told = rota.policy(severity), []
    moment = opens(rota, policy, at.astimezone(UTC))
    for number, level in enumerate(policy.levels, start=1):
        told.append(Told(number, level.who, on_call(rota, level.who, moment), moment))
        moment = later(rota, policy, moment, level.wait)
    return told
