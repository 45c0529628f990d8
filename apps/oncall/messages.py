"""What a person reads of an incident, and its row in the outbox."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from apps.oncall.rota import Rota
from apps.oncall.tables import ALERTS, NOTIFICATIONS, TRAIL

SHOWN_ALERTS: Final = 10
_HIDDEN_LABELS: Final = {"alertname", "prometheus"}
_LONGEST: Final = 500


@dataclass(frozen=True)
class Target:
    """Where a message goes: `mail` to a person, `slack` or `webhook` to a channel; both by their name in the rota."""

    transport: str
    name: str


def targets(rota: Rota, person: str, channels: Iterable[str]) -> list[Target]:
    """A person by mail, and channels."""
    return [Target("mail", person), *(Target(rota.channels[each].kind, each) for each in channels)]


def enqueue(
    connection: sa.Connection,
    now: datetime,
    incident: Any,
    *,
    heading: str,
    to: Sequence[Target],
    console_url: str | None,
) -> None:
    """Add one message to each target, of what the trail's newest entry says; `heading` begins the text."""
    entry = connection.scalar(sa.select(sa.func.max(TRAIL.c.seq)))
    subject = _line(f"[{incident.severity}] #{incident.id} {incident.title}: {heading}")
    body = text(connection, incident, heading, console_url)
    for target in to:
        connection.execute(
            sa.insert(NOTIFICATIONS).values(
                message_id=f"{entry}.{target.transport}.{target.name}.{incident.opened_at.timestamp():.0f}",
                incident=incident.id,
                transport=target.transport,
                target=target.name,
                subject=subject,
                body=body,
                created_at=now,
                due_at=now,
                attempts=0,
            )
        )


def told(connection: sa.Connection, incident: int) -> list[Target]:
    """Everybody who was told of an incident before."""
    columns = (NOTIFICATIONS.c.transport, NOTIFICATIONS.c.target)
    found = connection.execute(
        sa.select(*columns).distinct().where(NOTIFICATIONS.c.incident == incident).order_by(*columns)
    )
    return [Target(row.transport, row.target) for row in found]


def text(connection: sa.Connection, incident: Any, heading: str, console_url: str | None) -> str:
    """The whole text of a message."""
    lines = [f"{heading}.", "", incident.summary or incident.title]
    lines += [f"since {incident.opened_at:%Y-%m-%d %H:%M} UTC", ""]
    found = connection.execute(
        sa.select(ALERTS)
        .where(ALERTS.c.incident == incident.id)
        .order_by(ALERTS.c.status, ALERTS.c.fingerprint)
        .limit(SHOWN_ALERTS + 1)
    ).all()
    lines += [
        _line(f"- {alert.status}: {_labels(alert.labels)} {alert.annotations.get('summary', '')}")
        for alert in found[:SHOWN_ALERTS]
    ]
    if len(found) > SHOWN_ALERTS:
        lines.append("- and more")
    if incident.runbook_url:
        lines += ["", f"Runbook: {incident.runbook_url}"]
    if console_url:
        lines += ["", f"Incident: {console_url.rstrip('/')}/alarms/{incident.id}"]
    if incident.status != "resolved":
        lines += ["", f"To acknowledge: POST /incidents/{incident.id}/acknowledge of the on-call service."]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    shown = {name: value for name, value in sorted(labels.items()) if name not in _HIDDEN_LABELS}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _line(text: str) -> str:
    """One line without control characters: a label must not add a header to a mail."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
