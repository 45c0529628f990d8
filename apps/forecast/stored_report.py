"""The newest report on something, read from the model store for whoever asks, at most every few seconds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Generic, TypeVar

import anyio
from anyio.to_thread import run_sync
from pydantic import BaseModel, ValidationError

from apps.chassis.problems import Problem, unavailable
from apps.forecast.figures import DeliveryReport
from apps.forecast.schemas import DriftReport, EvaluationReport, QualityReport
from ml.location import Location
from ml.model_store import DELIVERY, DRIFT, EVALUATION, QUALITY, ModelStore

KEPT_SECONDS = 10.0
"""So a page that many look at is no load for the store."""

Report = TypeVar("Report", bound=BaseModel)


@dataclass(frozen=True)
class Said:
    """What is answered in place of a report: its name in the type of the problem, and what to do."""

    name: str
    not_yet: str
    again: str


class StoredReport(Generic[Report]):
    """Where a report is; what was read is kept for `KEPT_SECONDS`."""

    def __init__(self, read: Callable[[], bytes | None], report: type[Report], said: Said) -> None:
        self._read_bytes, self._report, self._said = read, report, said
        self._turn = anyio.Lock()
        self._read: tuple[float, bytes | None] = -KEPT_SECONDS, None

    async def newest(self) -> Report:
        """The newest report.

        Raises:
            Problem: 404, there is none yet; 503, it cannot be read.
            StoreUnavailable: The store does not answer.
        """
        async with self._turn:
            if time.monotonic() - self._read[0] >= KEPT_SECONDS:
                self._read = time.monotonic(), await run_sync(self._read_bytes)
        data = self._read[1]
        if data is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"no-{self._said.name}-report", self._said.not_yet)
        try:
            return self._report.model_validate_json(data)
        except ValidationError:
            raise unavailable(
                f"unreadable-{self._said.name}-report",
                f"the report has a form that this release cannot read; {self._said.again}",
            ) from None


def quality_reports(model_store: Location) -> StoredReport[QualityReport]:
    """Those of the quality gate."""
    said = Said("quality", "the data was not judged yet; run `python -m ml quality`", "judge the data again")
    return StoredReport(partial(ModelStore(model_store).report, QUALITY), QualityReport, said)


def drift_reports(model_store: Location) -> StoredReport[DriftReport]:
    """Those on drift."""
    said = Said("drift", "no month was judged yet; run `python -m ml drift`", "judge the month again")
    return StoredReport(partial(ModelStore(model_store).report, DRIFT), DriftReport, said)


def evaluation_reports(model_store: Location) -> StoredReport[EvaluationReport]:
    """Those on past forecasts."""
    said = Said("evaluation", "nothing was judged yet; run `python -m ml evaluate`", "evaluate again")
    return StoredReport(partial(ModelStore(model_store).report, EVALUATION), EvaluationReport, said)


def delivery_reports(model_store: Location) -> StoredReport[DeliveryReport]:
    """Those on deliveries."""
    again = "run `python -m scripts.promote metrics --keep`"
    said = Said("delivery", f"nothing was measured yet; {again}", again)
    return StoredReport(partial(ModelStore(model_store).report, DELIVERY), DeliveryReport, said)
