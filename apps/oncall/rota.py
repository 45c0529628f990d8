"""Who is to be told: people, weekly rotas and the policy of each severity, from one YAML file."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}

Name = Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,62}$")]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def _clock_time(value: object) -> object:
    """A time of day in quotes: YAML reads 09:00 without them as the number 540."""
    if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d", value):
        raise ValueError('write a time of day in quotes, such as "09:00"')
    return time.fromisoformat(value)


def _moment(value: object) -> object:
    """A date and time; one without an offset is in the zone of the file."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise ValueError("write a date and a time, such as 2026-12-31T18:00")  # noqa: TRY004 - pydantic's way
    return value


def _duration(value: object) -> object:
    found = re.fullmatch(r"([1-9]\d*)([smh])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("write a number with s, m or h, such as 5m")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _zone(value: object) -> object:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone; take a name such as Europe/Istanbul") from None


ClockTime = Annotated[time, BeforeValidator(_clock_time)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, arbitrary_types_allowed=True
    )


class Person(_Part):
    """Somebody who is told by mail."""

    name: str = Field(min_length=1)
    mail: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")


class Channel(_Part):
    """A place that many read; its address is a secret, so it stands in a file that is read at each use."""

    kind: Literal["slack", "webhook"]
    url_file: Path


class Override(_Part):
    """Somebody else for a while: from `begin`, and no longer at `end`."""

    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="until")
    person: Name


class WeeklyRota(_Part):
    """People who take turns, a week each.

    Attributes:
        begin: A day of handover, on which the first of `people` begins; weeks before it count backwards.
        at: Time of the handover in the zone of the file.
    """

    begin: date = Field(alias="from")
    at: ClockTime
    people: tuple[Name, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()


class Level(_Part):
    """A step of the escalation: a rota or a person, channels beside it, and how long an answer is waited for."""

    who: Name
    also: tuple[Name, ...] = ()
    wait: Duration


class Policy(_Part):
    """What becomes of an incident of one severity that nobody acknowledges.

    Attributes:
        hours: `office`: people are told, and waits run, in office hours only.
        rounds: How often all levels are gone through.
    """

    hours: Literal["always", "office"] = "always"
    levels: tuple[Level, ...] = Field(min_length=1)
    rounds: int = Field(default=3, ge=1, le=100)


class Office(_Part):
    """When tickets are read."""

    days: frozenset[Day] = Field(min_length=1)
    begin: ClockTime = Field(alias="from")
    end: ClockTime = Field(alias="until")
    closed: frozenset[date] = frozenset()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.begin >= self.end:
            raise ValueError(
                f"the office opens at {self.begin:%H:%M}, which must be before it closes at {self.end:%H:%M}"
            )
        return self


class Policies(_Part):
    """One policy for each of Alertmanager's receivers."""

    page: Policy
    ticket: Policy


class Rota(_Part):
    """The whole file."""

    zone: Zone
    people: Mapping[Name, Person] = Field(min_length=1)
    channels: Mapping[Name, Channel] = {}
    rotas: Mapping[Name, WeeklyRota] = {}
    office: Office
    policies: Policies

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        both = sorted(set(self.people) & set(self.rotas))
        if both:
            raise ValueError(f"{both[0]!r} is a person and a rota; rename one")
        for name, rota in self.rotas.items():
            place = f"rotas.{name}"
            _refuse_unknown(f"{place}.people", rota.people, self.people)
            _refuse_unknown(f"{place}.overrides", (each.person for each in rota.overrides), self.people)
            self._check_overrides(place, rota.overrides)
        for severity in ("page", "ticket"):
            for level in self.policy(severity).levels:
                place = f"policies.{severity}.levels"
                _refuse_unknown(place, [level.who], {*self.people, *self.rotas})
                _refuse_unknown(place, level.also, self.channels)
        return self

    def _check_overrides(self, place: str, overrides: Iterable[Override]) -> None:
        before = None
        for each in sorted(overrides, key=lambda override: self.instant(override.begin)):
            for moment in (each.begin, each.end):
                if moment.tzinfo is None and not _exists(moment, self.zone):
                    raise ValueError(
                        f"{place}.overrides: {moment.isoformat()} does not exist in {self.zone.key}, where clocks"
                        " go forward; take an hour later"
                    )
            if self.instant(each.begin) >= self.instant(each.end):
                raise ValueError(
                    f"{place}.overrides: {each.begin.isoformat()} is not before its end; swap them"
                )
            if before is not None and self.instant(each.begin) < self.instant(before.end):
                raise ValueError(
                    f"{place}.overrides: {each.person!r} from {each.begin.isoformat()} and {before.person!r} until"
                    f" {before.end.isoformat()} are on call at once; shorten one"
                )
            before = each

    def policy(self, severity: str) -> Policy:
        """The policy of `page` or `ticket`."""
        return self.policies.page if severity == "page" else self.policies.ticket

    def instant(self, moment: datetime) -> datetime:
        """In UTC; of an hour that comes twice, the first."""
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)


def _exists(moment: datetime, zone: ZoneInfo) -> bool:
    return moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment


def _refuse_unknown(place: str, names: Iterable[str], known: Iterable[str]) -> None:
    there = set(known)
    for name in names:
        if name not in there:
            raise ValueError(f"{place}: {name!r} is not known, only {', '.join(sorted(there)) or 'none'}")
