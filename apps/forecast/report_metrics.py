"""The newest report of a kind as metrics, looked for in the model store again and again."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic

import anyio

from apps.chassis.problems import Problem
from apps.forecast.stored_report import Report, StoredReport
from ml.errors import MlError

log = logging.getLogger(__name__)


class ReportMetrics(Generic[Report]):
    """Metrics of the newest report; they keep what was read last while the store does not answer.

    Args:
        reports: Where it is.
        tell: Sets the gauges by a report.
    """

    def __init__(self, reports: StoredReport[Report], tell: Callable[[Report], None]) -> None:
        self._reports, self._tell = reports, tell

    async def look(self) -> None:
        """Set the gauges by the newest report; where there is none or it cannot be read, they stay."""
        try:
            report = await self._reports.newest()
        except Problem:
            return
        except MlError as error:
            log.warning("report not read", extra={"reason": str(error)})
            return
        self._tell(report)


async def keep_told(kinds: Sequence[ReportMetrics[Any]], refresh_seconds: float) -> None:
    """Look again and again, for one kind after the other; a store that comes back needs no restart."""
    while True:
        for kind in kinds:
            await kind.look()
        await anyio.sleep(refresh_seconds)
