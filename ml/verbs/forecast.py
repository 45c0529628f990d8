"""Forecast every product and keep the answers."""

import logging
from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime

from ml.bundle import unpack
from ml.forecast_table import publish
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.open_month import open_month
from ml.panel import noted_history
from ml.registry import Registry
from ml.settings import MlSettings
from ml.stock import stock_note
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)

PER_PART = ("categories", "products")
"""Parts of a nowcast that only the snapshot shows."""


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Write the snapshot of one model to the store and the lake; with `--until` it has no open month."""
    lake, store = Lake(settings.lake), ModelStore(settings.model_store)
    now = datetime.now(UTC)
    history = noted_history(lake, now, options.until)
    model = Registry(settings).resolve(options.model)
    bundle = unpack(store.get_bundle(model.sha256), model.sha256)
    notes = stock_note(lake, history)
    if options.until is None:
        notes["nowcast"] = open_month(lake, history, settings)
    report = asdict(publish(lake, store, bundle, history, model_version=model.version, now=now, notes=notes))
    _LOG.info("forecast_published", extra=report)
    shown = {name: value for name, value in notes.get("nowcast", {}).items() if name not in PER_PART}
    return Answer({**report, "stock_data": notes["stock_data"], "nowcast": shown or None})
