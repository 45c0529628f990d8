"""Take events into the lake."""

import logging
from argparse import Namespace
from datetime import UTC, datetime

from ml.event_batch import IngestReport
from ml.ingest import drain_inbox, import_file
from ml.lake import Lake
from ml.open_inbox import open_inbox
from ml.settings import MlSettings
from ml.terminal import progress_bar
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """From a file or folder, or what the inbox accepted since the last time."""
    lake = Lake(settings.lake)
    report = _import(options, lake, settings) if options.events else _drain(lake, settings)
    counts = {"rows": report.rows, "accepted": report.accepted, "duplicate": report.duplicate}
    _LOG.info("ingested", extra={"source": report.source, **counts, "refused": sum(report.refused.values())})
    return Answer(report.to_json())


def _import(options: Namespace, lake: Lake, settings: MlSettings) -> IngestReport:
    with progress_bar() as progress:
        return import_file(
            options.events,
            lake,
            settings,
            mapping=dict(options.map),
            timezone=options.timezone,
            currency=options.currency,
            allow=frozenset(options.allow),
            now=datetime.now(UTC),
            progress=progress,
        )


def _drain(lake: Lake, settings: MlSettings) -> IngestReport:
    inbox = open_inbox(settings.inbox, settings.inbox_login)
    try:
        return drain_inbox(inbox, lake, settings)
    finally:
        inbox.close()
