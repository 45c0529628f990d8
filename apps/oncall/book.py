"""What every change of an incident needs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from apps.oncall.database import Database
from apps.oncall.incidents import Incidents
from apps.oncall.rota_file import RotaFile
from apps.oncall.settings import OncallSettings

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Book:
    """The database, the rota and the clock.

    Attributes:
        clock: Gives aware times.
    """

    database: Database
    rota: RotaFile
    settings: OncallSettings
    clock: Clock = utc_now

    def incidents(self, connection: sa.Connection, once: str | None = None) -> Incidents:
        """The incidents in a transaction, now; `once` is the request's `Idempotency-Key`."""
        settings = self.settings
        return Incidents(
            connection,
            self.clock(),
            self.rota.current(),
            timedelta(seconds=settings.reopen_seconds),
            console_url=settings.console_url,
            runbook_url=settings.runbook_url,
            once=once,
        )
