"""Which of several processes works: the one whose row it is, until it falls silent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from apps.oncall.tables import LEASE

_NAME = "worker"


@dataclass(frozen=True)
class Lease:
    """The right to work, taken in the transaction of the work: who lost it commits nothing.

    Attributes:
        holder: A name that no other process has, nor this one after it began anew.
        lasts: How long the holder may be silent.
    """

    holder: str
    lasts: timedelta

    def take(self, connection: sa.Connection, now: datetime) -> bool:
        """Whether this process may work in this transaction, in which nobody else writes."""
        row = connection.execute(sa.select(LEASE).where(LEASE.c.name == _NAME)).one_or_none()
        if row is not None and row.holder != self.holder and row.until > now:
            return False
        values = {"holder": self.holder, "until": now + self.lasts}
        if row is None:
            connection.execute(sa.insert(LEASE).values(name=_NAME, **values))
        else:
            connection.execute(sa.update(LEASE).where(LEASE.c.name == _NAME).values(values))
        return True

    def is_fresh(self, connection: sa.Connection, now: datetime) -> bool:
        """Whether it is this process's for half its time still, so that nothing need be written."""
        row = connection.execute(sa.select(LEASE).where(LEASE.c.name == _NAME)).one_or_none()
        return row is not None and row.holder == self.holder and row.until - now > self.lasts / 2

    def is_free(self, connection: sa.Connection, now: datetime) -> bool:
        """Whether this process may take it or has it."""
        row = connection.execute(sa.select(LEASE).where(LEASE.c.name == _NAME)).one_or_none()
        return row is None or row.holder == self.holder or row.until <= now

    def give_back(self, connection: sa.Connection) -> None:
        """Let another process take it at once."""
        connection.execute(sa.delete(LEASE).where(LEASE.c.name == _NAME, LEASE.c.holder == self.holder))
