"""The newest report of the quality gate, read from the model store for whoever asks, at most every few seconds."""

import time
from http import HTTPStatus

import anyio
from anyio.to_thread import run_sync
from pydantic import ValidationError

from apps.chassis.problems import Problem, unavailable
from apps.forecast.schemas import QualityReport
from ml.location import Location
from ml.model_store import ModelStore

KEPT_SECONDS = 10.0
"""So a page that many look at is no load for the store."""


class QualityReports:
    """Where the report is; what was read is kept for `KEPT_SECONDS`."""

    def __init__(self, model_store: Location) -> None:
        self._store = ModelStore(model_store)
        self._turn = anyio.Lock()
        self._read: tuple[float, bytes | None] = -KEPT_SECONDS, None

    async def newest(self) -> QualityReport:
        """The newest report.

        Raises:
            Problem: 404, the gate was never run here; 503, its report cannot be read.
            StoreUnavailable: The store does not answer.
        """
        async with self._turn:
            if time.monotonic() - self._read[0] >= KEPT_SECONDS:
                self._read = time.monotonic(), await run_sync(self._store.quality)
        data = self._read[1]
        if data is None:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "no-quality-report",
                "the data was not judged yet; run `python -m ml quality`",
            )
        try:
            return QualityReport.model_validate_json(data)
        except ValidationError:
            raise unavailable(
                "unreadable-quality-report",
                "the report has a form that this release cannot read; judge the data again",
            ) from None
