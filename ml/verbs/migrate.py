"""Bring the schemas of the inbox and the lake to what this release needs."""

import logging
from argparse import Namespace

from ml.columns import SCHEMAS, Schema
from ml.forecast_table import SCHEMA, TABLE
from ml.lake import Lake
from ml.migrations.inbox import InboxMigrations, migrations_of
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Add what is missing; with `--check` only say it, and yes if there is nothing."""
    inbox, lake = migrations_of(settings.inbox, settings.inbox_login), Lake(settings.lake)
    tables: dict[str, Schema] = {**SCHEMAS, TABLE: dict(SCHEMA)}
    if options.check:
        pending = {table: list(lake.missing(table, schema)) for table, schema in tables.items()}
        report = _report(inbox, inbox.state().pending, pending)
        return Answer({**report, "checked": True}, yes=not report["inbox"]["steps"] and not report["lake"])
    steps = inbox.run()
    report = _report(
        inbox, steps, {table: list(lake.expand(table, schema)) for table, schema in tables.items()}
    )
    _LOG.info("migrated", extra={"steps": list(steps), "columns": report["lake"]})
    return Answer({**report, "checked": False})


def _report(
    inbox: InboxMigrations, steps: tuple[str, ...], columns: dict[str, list[str]]
) -> dict[str, dict[str, object]]:
    """`steps` and `lake` are what was done, or is to do with `--check`; `revision` is where the inbox is now."""
    return {
        "inbox": {"revision": inbox.state().revision, "steps": list(steps)},
        "lake": {table: names for table, names in columns.items() if names},
    }
