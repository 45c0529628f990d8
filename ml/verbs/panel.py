"""Build the monthly panel."""

import logging
from argparse import Namespace
from datetime import UTC, datetime

from ml.lake import Lake
from ml.panel import build_panel
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:  # noqa: ARG001
    """One row per product and complete month."""
    report = build_panel(Lake(settings.lake), settings, datetime.now(UTC)).to_json()
    _LOG.info("panel_built", extra=report)
    return Answer(report)
