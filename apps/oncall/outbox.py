"""Messages on their way: claimed, sent, settled; none is lost, and a killed process leaves at most one copy too many.

Each transport has at most one message under way. Its row names the process that sends it; a process with the
lease takes over what a process without one left, and whoever reads it can tell the copy by its id.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from apps.oncall.senders import Message
from apps.oncall.tables import NOTIFICATIONS

LONGEST_PAUSE = timedelta(minutes=5)
_COLUMNS = ("id", "message_id", "incident", "target", "subject", "body", "created_at")


@dataclass(frozen=True)
class Outbox:
    """The messages of one process.

    Attributes:
        holder: Name of the process.
        pause: Until the second attempt; doubled each time.
        give_up: Age at which a message is no longer tried.
    """

    holder: str
    pause: timedelta
    give_up: timedelta

    def has_due(self, connection: sa.Connection, transport: str, now: datetime) -> bool:
        """Whether there is something to send."""
        return connection.execute(self._due(transport, now)).first() is not None

    def claim(self, connection: sa.Connection, transport: str, now: datetime) -> Message | None:
        """The oldest message that is due; the caller has the lease."""
        row = connection.execute(self._due(transport, now)).first()
        if row is None:
            return None
        connection.execute(
            sa.update(NOTIFICATIONS)
            .where(NOTIFICATIONS.c.id == row.id)
            .values(claimed_by=self.holder, attempts=NOTIFICATIONS.c.attempts + 1)
        )
        return Message(**row._mapping)  # noqa: SLF001 - SQLAlchemy's way

    def sent(self, connection: sa.Connection, message: Message, now: datetime) -> None:
        """It was taken."""
        self._settle(connection, message.id, sent_at=now, due_at=None, error=None)

    def failed(self, connection: sa.Connection, message: Message, now: datetime, reason: str) -> bool:
        """It was not taken; True when it is now given up."""
        if now - message.created_at >= self.give_up:
            self._settle(connection, message.id, due_at=None, error=f"given up: {reason}")
            return True
        attempts = connection.scalar(
            sa.select(NOTIFICATIONS.c.attempts).where(NOTIFICATIONS.c.id == message.id)
        )
        wait = min(self.pause * 2 ** min((attempts or 1) - 1, 20), LONGEST_PAUSE)
        self._settle(connection, message.id, due_at=now + wait, error=reason)
        return False

    @staticmethod
    def _settle(connection: sa.Connection, number: int, **values: object) -> None:
        connection.execute(
            sa.update(NOTIFICATIONS)
            .where(NOTIFICATIONS.c.id == number, NOTIFICATIONS.c.sent_at.is_(None))
            .values(claimed_by=None, **values)
        )

    def _due(self, transport: str, now: datetime) -> sa.Select[Any]:
        others = NOTIFICATIONS.c.claimed_by.is_(None) | (NOTIFICATIONS.c.claimed_by != self.holder)
        return (
            sa.select(*(NOTIFICATIONS.c[name] for name in _COLUMNS))
            .where(NOTIFICATIONS.c.transport == transport, NOTIFICATIONS.c.due_at <= now, others)
            .order_by(NOTIFICATIONS.c.due_at, NOTIFICATIONS.c.id)
            .limit(1)
        )


def waiting(connection: sa.Connection) -> tuple[int, datetime | None]:
    """How many messages are not sent yet, and since when the oldest waits."""
    row = connection.execute(
        sa.select(sa.func.count(), sa.func.min(NOTIFICATIONS.c.created_at)).where(
            NOTIFICATIONS.c.due_at.is_not(None)
        )
    ).one()
    return int(row[0]), row[1]
