"""Judge the data before it is learned from."""

import logging
from argparse import Namespace
from datetime import UTC, datetime

from ml.data_gate.gate import run_gate
from ml.data_gate.report import keep
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)

NEWEST = "newest"


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if training may go on; the report is kept either way."""
    lake, now = Lake(settings.lake), datetime.now(UTC)
    report = run_gate(
        lake, settings, now=now, as_of=None if options.as_of == NEWEST else _end(options.as_of, settings, now)
    )
    keep(report, lake, ModelStore.of(settings))
    told = {check.name: check.verdict for check in report.checks if check.verdict != "pass"}
    _LOG.info(
        "quality_judged", extra={"verdict": report.verdict, "data_version": report.data_version, **told}
    )
    return Answer(report.to_json(), yes=report.passed)


def _end(day: str | None, settings: MlSettings, now: datetime) -> datetime:
    """Now, or the end of a day of the shop that is over."""
    if day is None:
        return now
    last = datetime.fromisoformat(day).replace(hour=23, minute=59, second=59, tzinfo=settings.zone)
    return min(last.astimezone(UTC), now)
