"""Incidents as the API answers them."""

from typing import Any

import sqlalchemy as sa

from apps.oncall import trail
from apps.oncall.book import Clock
from apps.oncall.rota import Rota
from apps.oncall.schedule import escalation
from apps.oncall.schemas import (
    Incident,
    IncidentDetail,
    Incidents,
    KeptAlert,
    OnCall,
    Responsible,
    SentMessage,
    Severity,
    Status,
)
from apps.oncall.tables import ALERTS, INCIDENTS, NOTIFICATIONS

SEVERITIES: tuple[Severity, ...] = ("page", "ticket")


def listed(
    connection: sa.Connection,
    rota: Rota,
    *,
    status: Status | None,
    severity: Severity | None,
    before: int | None,
    limit: int,
) -> Incidents:
    """A page of them, newest first."""
    wanted = sa.select(INCIDENTS).order_by(INCIDENTS.c.id.desc()).limit(limit + 1)
    for column, value in ((INCIDENTS.c.status, status), (INCIDENTS.c.severity, severity)):
        if value is not None:
            wanted = wanted.where(column == value)
    if before is not None:
        wanted = wanted.where(INCIDENTS.c.id < before)
    rows = connection.execute(wanted).all()
    shown = [Incident(**_fields(row, rota)) for row in rows[:limit]]
    return Incidents(incidents=shown, next=shown[-1].id if len(rows) > limit else None)


def detail(connection: sa.Connection, rota: Rota, row: Any) -> IncidentDetail:
    """One, with all that belongs to it."""
    alerts = connection.execute(
        sa.select(ALERTS).where(ALERTS.c.incident == row.id).order_by(ALERTS.c.fingerprint)
    )
    sent = connection.execute(
        sa.select(NOTIFICATIONS).where(NOTIFICATIONS.c.incident == row.id).order_by(NOTIFICATIONS.c.id)
    )
    return IncidentDetail(
        **_fields(row, rota),
        alerts=[KeptAlert.model_validate(each._mapping) for each in alerts],  # noqa: SLF001 - SQLAlchemy's way
        notifications=[SentMessage.model_validate(each._mapping) for each in sent],  # noqa: SLF001
        trail=trail.entries(connection, row.id),
    )


def responsible(rota: Rota, clock: Clock) -> OnCall:
    """Who would hear of an incident that begins now."""
    return OnCall(
        responsible=[
            Responsible(
                severity=severity,
                level=told.level,
                who=told.who,
                person=told.person,
                name=rota.people[told.person].name,
                told_at=told.at,
            )
            for severity in SEVERITIES
            for told in escalation(rota, severity, clock())
        ]
    )


def _fields(row: Any, rota: Rota) -> dict[str, Any]:
    levels = len(rota.policy(row.severity).levels)
    return {**row._mapping, "level": 0 if row.step < 0 else row.step % levels + 1}  # noqa: SLF001
