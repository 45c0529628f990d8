"""The alerts of an incident, as the newest notification has them."""

import sqlalchemy as sa

from apps.oncall.schemas import SentGroup
from apps.oncall.tables import ALERTS


def keep(connection: sa.Connection, incident: int, group: SentGroup) -> None:
    """Take a notification's alerts over; one that it leaves out no longer fires, unless the list was cut."""
    mine = ALERTS.c.incident == incident
    if not group.truncatedAlerts:
        connection.execute(sa.update(ALERTS).where(mine).values(status="resolved"))
    known = set(connection.scalars(sa.select(ALERTS.c.fingerprint).where(mine)))
    for fingerprint, alert in {alert.fingerprint: alert for alert in group.alerts}.items():
        values = {
            "status": alert.status,
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "starts_at": alert.startsAt,
            "generator_url": alert.generatorURL,
        }
        if fingerprint in known:
            connection.execute(
                sa.update(ALERTS).where(mine, ALERTS.c.fingerprint == fingerprint).values(values)
            )
        else:
            connection.execute(sa.insert(ALERTS).values(incident=incident, fingerprint=fingerprint, **values))


def any_firing(connection: sa.Connection, incident: int) -> bool:
    """Whether one of them fires."""
    firing = sa.select(ALERTS.c.fingerprint).where(ALERTS.c.incident == incident, ALERTS.c.status == "firing")
    return connection.execute(firing.limit(1)).first() is not None
