"""Merge the lake's small files."""

import logging
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import asdict
from functools import reduce

from ml.delta import Size
from ml.lake import Lake
from ml.settings import MlSettings
from ml.upkeep import compact
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)
_MIB = 1024 * 1024


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Files and bytes before and after, of each table and of all."""
    tables = compact(Lake(settings.lake), options.target_mib * _MIB)
    before, after = _sum(each.before for each in tables), _sum(each.after for each in tables)
    _LOG.info("compacted", extra={"files_before": before.files, "files_after": after.files})
    return Answer(
        {
            "before": asdict(before),
            "after": asdict(after),
            "tables": [each.to_json() for each in tables if each.before != each.after],
        }
    )


def _sum(sizes: Iterable[Size]) -> Size:
    return reduce(
        lambda one, other: Size(one.files + other.files, one.bytes + other.bytes), sizes, Size(0, 0)
    )
