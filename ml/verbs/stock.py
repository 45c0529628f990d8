"""Take days without stock into the lake."""

import logging
from argparse import Namespace

from ml.lake import Lake
from ml.settings import MlSettings
from ml.stock import import_stock
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """From a file; the same file again changes nothing."""
    report = import_stock(options.file, Lake(settings.lake)).to_json()
    _LOG.info("stock_imported", extra=report)
    return Answer(report)
