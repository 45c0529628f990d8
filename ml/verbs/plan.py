"""Take a plan into the lake."""

import logging
from argparse import Namespace
from datetime import UTC, datetime

from ml.lake import Lake
from ml.panel import note_data_version
from ml.plan_table import import_plan
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if any row could be taken."""
    lake, now = Lake(settings.lake), datetime.now(UTC)
    with lake.lock():
        report = import_plan(options.file, lake, past=options.past, now=now)
        version = note_data_version(lake, now)
    counts = {"rows": report.rows, "accepted": report.accepted, "changed": report.changed}
    _LOG.info("plan_imported", extra={**counts, "refused": sum(report.refused.values())})
    return Answer({**report.to_json(), "data_version": version.name}, yes=report.accepted > 0)
