"""What may become of an incident; every change is one transaction with its timers, messages and trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import sqlalchemy as sa

from apps.chassis.problems import Problem
from apps.oncall import alerts, messages, trail
from apps.oncall.rota import Rota
from apps.oncall.schedule import later, on_call, opens
from apps.oncall.schemas import SentAlert, SentGroup
from apps.oncall.tables import INCIDENTS

ALERTMANAGER: Final = "alertmanager"
TIMER: Final = "timer"
NOT_TOLD: Final = -1
"""`step` of an incident before anybody was told."""


class UnknownIncident(Problem):
    """There is no incident of this number."""

    def __init__(self, number: int) -> None:
        detail = f"there is no incident {number}; GET /incidents lists them"
        super().__init__(HTTPStatus.NOT_FOUND, "unknown-incident", detail)


class IncidentClosed(Problem):
    """The incident is resolved, so nothing more becomes of it."""

    def __init__(self, number: int) -> None:
        detail = f"incident {number} is resolved; a note can still be added"
        super().__init__(HTTPStatus.CONFLICT, "incident-closed", detail)


@dataclass(frozen=True)
class Incidents:
    """The incidents in one transaction in which nobody else writes.

    Attributes:
        now: When it happens.
        reopen: An alarm that comes back this soon after its end is the same incident.
        console_url: For links in messages.
        runbook_url: Of alarms that no rule made.
        once: `Idempotency-Key` of the request that all this belongs to; the trail keeps it.
    """

    connection: sa.Connection
    now: datetime
    rota: Rota
    reopen: timedelta = timedelta(minutes=15)
    console_url: str | None = None
    runbook_url: str | None = None
    once: str | None = None

    def take(self, severity: str, group: SentGroup) -> int | None:
        """The incident of a notification that may have come before; None for the end of one that nobody knew."""
        incident = self._of_group(severity, group.groupKey)
        firing = [alert for alert in group.alerts if alert.status == "firing"]
        if incident is None:
            if not firing:
                return None
            incident = self._open(severity, group, firing)
            alerts.keep(self.connection, incident.id, group)
            self._begin(incident.id)
            return int(incident.id)
        alerts.keep(self.connection, incident.id, group)
        if firing and incident.status == "resolved":
            self._reopen(incident)
        elif not alerts.any_firing(self.connection, incident.id) and incident.status != "resolved":
            self._resolve(incident, ALERTMANAGER)
        return int(incident.id)

    def acknowledge(self, number: int, who: str, note: str = "") -> None:
        """Stop the escalation; a second time changes nothing.

        Raises:
            UnknownIncident: There is none.
            IncidentClosed: It is resolved.
        """
        incident = self._unresolved(number)
        if incident.status == "acknowledged":
            return
        self._set(
            number, status="acknowledged", escalate_at=None, acknowledged_at=self.now, acknowledged_by=who
        )
        self._record(who, "acknowledged", number, note=note)

    def resolve(self, number: int, who: str, note: str = "") -> None:
        """End it; a second time changes nothing.

        Raises:
            UnknownIncident: There is none.
        """
        incident = self.row(number)
        if incident.status != "resolved":
            self._resolve(incident, who, note)

    def escalate(self, number: int, who: str, note: str = "") -> None:
        """Tell the next level now, and take an acknowledgement back.

        Raises:
            UnknownIncident: There is none.
            IncidentClosed: It is resolved.
        """
        self._unresolved(number)
        self._set(number, status="open", acknowledged_at=None, acknowledged_by=None)
        self._record(who, "escalated", number, note=note)
        self._tell_next(number)

    def note(self, number: int, who: str, note: str) -> None:
        """Add a note to the trail.

        Raises:
            UnknownIncident: There is none.
        """
        self.row(number)
        self._record(who, "noted", number, note=note)

    def fire_due_timers(self) -> int:
        """Tell the next level of every incident whose time has come; how many there were."""
        due = self.connection.execute(
            sa.select(INCIDENTS.c.id)
            .where(INCIDENTS.c.status == "open", INCIDENTS.c.escalate_at <= self.now)
            .order_by(INCIDENTS.c.escalate_at)
        ).all()
        for incident in due:
            self._tell_next(incident.id)
        return len(due)

    def was_done(self, number: int) -> bool:
        """Whether an earlier request with the same key changed this incident."""
        found = trail.entries(self.connection, number)
        return self.once is not None and any(each["detail"].get("once") == self.once for each in found)

    def row(self, number: int) -> Any:
        """The row of an incident.

        Raises:
            UnknownIncident: There is none.
        """
        found = self.connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.id == number)).one_or_none()
        if found is None:
            raise UnknownIncident(number)
        return found

    def _unresolved(self, number: int) -> Any:
        incident = self.row(number)
        if incident.status == "resolved":
            raise IncidentClosed(number)
        return incident

    def _of_group(self, severity: str, group_key: str) -> Any:
        """The group's newest incident, unless it ended too long ago to go on."""
        return self.connection.execute(
            sa.select(INCIDENTS)
            .where(INCIDENTS.c.severity == severity, INCIDENTS.c.group_key == group_key)
            .where((INCIDENTS.c.status != "resolved") | (INCIDENTS.c.resolved_at >= self.now - self.reopen))
            .order_by(INCIDENTS.c.id.desc())
            .limit(1)
        ).one_or_none()

    def _open(self, severity: str, group: SentGroup, firing: Sequence[SentAlert]) -> Any:
        labels = dict(group.commonLabels or firing[0].labels)
        annotations = {**firing[0].annotations, **group.commonAnnotations}
        number: int = self.connection.execute(
            sa.insert(INCIDENTS)
            .values(
                group_key=group.groupKey,
                severity=severity,
                status="open",
                title=_title(labels),
                summary=annotations.get("summary", ""),
                runbook_url=annotations.get("runbook_url"),
                labels=labels,
                step=NOT_TOLD,
                opened_at=self.now,
            )
            .returning(INCIDENTS.c.id)
        ).scalar_one()
        self._record(ALERTMANAGER, "opened", number, title=_title(labels), group_key=group.groupKey)
        return self.row(number)

    def _reopen(self, incident: Any) -> None:
        self._set(
            incident.id,
            status="open",
            step=NOT_TOLD,
            acknowledged_at=None,
            acknowledged_by=None,
            resolved_at=None,
        )
        self._record(ALERTMANAGER, "reopened", incident.id)
        self._begin(incident.id)

    def _begin(self, number: int) -> None:
        """Tell the first level, or set the timer for when the office opens."""
        moment = opens(self.rota, self.rota.policy(self.row(number).severity), self.now)
        if moment > self.now:
            self._set(number, escalate_at=moment)
        else:
            self._tell_next(number)

    def _tell_next(self, number: int) -> None:
        """Tell the level after the one that was told last; after the last round nobody is left."""
        incident = self.row(number)
        policy, step = self.rota.policy(incident.severity), incident.step + 1
        if step >= len(policy.levels) * policy.rounds:
            self._set(number, escalate_at=None)
            self._record(TIMER, "nobody left", number)
            return
        turn, index = divmod(step, len(policy.levels))
        level = policy.levels[index]
        person = on_call(self.rota, level.who, self.now)
        self._set(number, step=step, escalate_at=later(self.rota, policy, self.now, level.wait))
        self._record(TIMER, "told", number, level=index + 1, round=turn + 1, person=person, also=level.also)
        again = f", round {turn + 1}" if turn else ""
        self._send(
            number,
            f"level {index + 1} of {len(policy.levels)}{again}: {self.rota.people[person].name} is to answer",
            messages.targets(self.rota, person, level.also),
        )

    def _resolve(self, incident: Any, who: str, note: str = "") -> None:
        self._set(incident.id, status="resolved", escalate_at=None, resolved_at=self.now)
        self._record(who, "resolved", incident.id, note=note)
        self._send(incident.id, f"resolved by {who}", messages.told(self.connection, incident.id))

    def _send(self, number: int, heading: str, to: Sequence[messages.Target]) -> None:
        messages.enqueue(
            self.connection, self.now, self.row(number), heading=heading, to=to, console_url=self.console_url
        )

    def _set(self, number: int, **values: Any) -> None:
        self.connection.execute(sa.update(INCIDENTS).where(INCIDENTS.c.id == number).values(**values))

    def _record(self, who: str, what: str, number: int, **detail: Any) -> None:
        if self.once is not None:
            detail["once"] = self.once
        trail.append(self.connection, self.now, who, what, number, **detail)


def _title(labels: dict[str, str]) -> str:
    place = ", ".join(labels[name] for name in ("service", "namespace") if labels.get(name))
    name = labels.get("alertname", "alarm")
    return f"{name} ({place})" if place else name


def has_due_timers(connection: sa.Connection, now: datetime) -> bool:
    """Whether an escalation is due."""
    due = sa.select(INCIDENTS.c.id).where(INCIDENTS.c.status == "open", INCIDENTS.c.escalate_at <= now)
    return connection.execute(due.limit(1)).first() is not None
