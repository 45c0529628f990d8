"""Forecast every product and keep the answers."""

import logging
from argparse import Namespace

from ml.publishing import Publisher
from ml.registry import Registry
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)

PER_PART = ("categories", "products")
"""Parts of a nowcast that only the snapshot shows."""


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Write the snapshot of one model to the store and the lake; with `--until` it has no open month."""
    publisher = Publisher(settings, options.until)
    model = Registry(settings).resolve(options.model)
    report = publisher.publish(model.version, model.sha256)
    _LOG.info("forecast_published", extra=report)
    notes = publisher.notes
    shown = {name: value for name, value in notes.get("nowcast", {}).items() if name not in PER_PART}
    return Answer({**report, "stock_data": notes["stock_data"], "nowcast": shown or None})
