"""The switch that pages when Alertmanager's heartbeat is not heard: then no other alarm would come either."""

from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa

from apps.oncall.incidents import Incidents
from apps.oncall.schemas import SentAlert, SentGroup
from apps.oncall.tables import HEARTBEATS, INCIDENTS

GROUP: Final = "dead-man"
_NAME: Final = "alertmanager"


def heard(incidents: Incidents) -> None:
    """Write down that the heartbeat came, and end the incident of its silence."""
    connection, now = incidents.connection, incidents.now
    if heard_at(connection) is None:
        connection.execute(sa.insert(HEARTBEATS).values(name=_NAME, heard_at=now))
    else:
        connection.execute(sa.update(HEARTBEATS).where(HEARTBEATS.c.name == _NAME).values(heard_at=now))
    if _is_open(connection):
        incidents.take("page", _group("resolved", now))


def heard_at(connection: sa.Connection) -> datetime | None:
    """When it came last; None when nobody has waited for it yet."""
    found: datetime | None = connection.scalar(
        sa.select(HEARTBEATS.c.heard_at).where(HEARTBEATS.c.name == _NAME)
    )
    return found


def is_overdue(connection: sa.Connection, now: datetime, since: datetime, silence: timedelta) -> bool:
    """Whether to page: it was silent for longer than `silence`, and this process listened, `since` when, to hear it."""
    heard = heard_at(connection)
    return heard is not None and now - max(heard, since) > silence and not _is_open(connection)


def page(incidents: Incidents) -> None:
    """Open the incident of its silence."""
    incidents.take("page", _group("firing", incidents.now, incidents.runbook_url))


def begin_to_wait(connection: sa.Connection, now: datetime) -> None:
    """A heartbeat that never comes is a silence, too: it counts from here."""
    if heard_at(connection) is None:
        connection.execute(sa.insert(HEARTBEATS).values(name=_NAME, heard_at=now))


def _is_open(connection: sa.Connection) -> bool:
    unresolved = sa.select(INCIDENTS.c.id).where(
        INCIDENTS.c.group_key == GROUP, INCIDENTS.c.status != "resolved"
    )
    return connection.execute(unresolved.limit(1)).first() is not None


def _group(status: Literal["firing", "resolved"], now: datetime, runbook_url: str | None = None) -> SentGroup:
    labels = {"alertname": "HeartbeatSilent", "service": "alerting", "severity": "page"}
    summary = "Alertmanager's heartbeat is not heard: alarms may not arrive"
    annotations = {"summary": summary}
    if runbook_url:
        annotations["runbook_url"] = f"{runbook_url}#heartbeatsilent"
    alert = SentAlert(
        status=status,
        labels=labels,
        annotations=annotations,
        startsAt=now.isoformat(),
        fingerprint=GROUP,
    )
    return SentGroup(groupKey=GROUP, commonLabels=labels, alerts=(alert,))
