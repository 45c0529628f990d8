"""Build the monthly panel, a share of it, or check it."""

import logging
import shutil
from argparse import Namespace
from datetime import UTC, datetime

from ml.lake import Lake
from ml.panel import PanelReport, build_panel, closed_month, merge_panel, parts_of, take_panel
from ml.panel_check import check_totals
from ml.panel_parts import PARTS, Shard
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """One row per product and complete month."""
    lake, now = Lake(settings.lake), datetime.now(UTC)
    if options.split or options.shard:
        return Answer(_share(options, lake, settings, now))
    if options.check:
        checked = check_totals(lake, settings)
        return Answer(checked.to_json(), yes=not checked.differing)
    if options.fresh:
        with lake.lock():
            shutil.rmtree(lake.root / PARTS, ignore_errors=True)
    report = _written(options, lake, settings, now).to_json()
    _LOG.info("panel_built", extra=report)
    return Answer(report)


def _written(options: Namespace, lake: Lake, settings: MlSettings, now: datetime) -> PanelReport:
    if options.take:
        return take_panel(lake, options.take, now)
    return merge_panel(lake, settings, now) if options.merge else build_panel(lake, settings, now)


def _share(options: Namespace, lake: Lake, settings: MlSettings, now: datetime) -> dict[str, object]:
    """Split or sum up a share; the lake is only read, so that shares work side by side."""
    parts = parts_of(lake, settings)
    if options.split:
        done = parts.split(Shard(*options.split))
        report: dict[str, object] = {"split": done, "files": len(parts.files), "share": list(options.split)}
    else:
        month = closed_month(parts, settings, now)
        done = parts.make(month, Shard(*options.shard))
        report = {
            "made": done,
            "buckets": parts.buckets,
            "share": list(options.shard),
            "last_month": f"{month:%Y-%m}",
        }
    _LOG.info("panel_share", extra=report)
    return report
