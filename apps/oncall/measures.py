"""What Prometheus is told of the on-call service: the alarms about alarms."""

from datetime import datetime

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge

from apps.oncall import dead_man, outbox
from apps.oncall.senders import TRANSPORTS
from apps.oncall.tables import INCIDENTS

RESULTS = ("sent", "failed", "given_up")


class Measures:
    """Counters of this process, and what the database says to whichever process looks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        self.notifications = Counter(
            "oncall_notifications",
            "Attempts to tell somebody.",
            ["transport", "result"],
            registry=registry,
        )
        for transport in TRANSPORTS:  # a counter that is new has grown from nothing, which nobody sees
            for result in RESULTS:
                self.notifications.labels(transport, result)
        self.defects = Counter("oncall_defects", "Turns that failed unexpectedly.", registry=registry)
        self._waiting = gauge("oncall_queue_messages", "Messages that are not sent yet.")
        self._age = gauge("oncall_queue_age_seconds", "Age of the oldest of them, 0 without any.")
        self._late = gauge(
            "oncall_timer_late_seconds", "By how much the oldest due timer has not fired, 0 without."
        )
        self._incidents = gauge("oncall_incidents", "Unresolved incidents.", "severity", "status")
        self._heartbeat = gauge("oncall_heartbeat_age_seconds", "Since Alertmanager's heartbeat was heard.")
        self._leads = gauge("oncall_leader", "1 in the process that works.")
        self._database = gauge("oncall_database_up", "1 while the database answers.")
        self._rota = gauge("oncall_rota_refused", "1 while the rota's file is wrong; the one before is used.")

    def rota_refused(self, reason: str | None) -> None:
        """What is wrong with the rota's file, or nothing."""
        self._rota.set(reason is not None)

    def database_lost(self) -> None:
        """It did not answer."""
        self._database.set(0)

    def look(self, connection: sa.Connection, now: datetime, *, leads: bool) -> None:
        """Set the gauges to what the database says."""
        count, oldest = outbox.waiting(connection)
        self._waiting.set(count)
        self._age.set(_age(oldest, now))
        due = sa.select(sa.func.min(INCIDENTS.c.escalate_at)).where(INCIDENTS.c.status == "open")
        self._late.set(_age(connection.scalar(due), now))
        unresolved = connection.execute(
            sa.select(INCIDENTS.c.severity, INCIDENTS.c.status, sa.func.count())
            .where(INCIDENTS.c.status != "resolved")
            .group_by(INCIDENTS.c.severity, INCIDENTS.c.status)
        )
        counts = {(row[0], row[1]): row[2] for row in unresolved}
        for severity in ("page", "ticket"):
            for status in ("open", "acknowledged"):
                self._incidents.labels(severity, status).set(counts.get((severity, status), 0))
        self._heartbeat.set(_age(dead_man.heard_at(connection), now))
        self._leads.set(leads)
        self._database.set(1)


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
