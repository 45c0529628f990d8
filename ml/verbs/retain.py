"""Remove files of the lake that nobody needs any more."""

import json
import logging
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from ml.errors import BadKeepFile, ModelNotFound
from ml.lake import Lake
from ml.registry import ALIASES, Registry
from ml.settings import MlSettings
from ml.upkeep import retain
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """What was removed, kept and lost; no if a data version that was to be kept is not whole any more."""
    keep = {*options.keep, *_listed(options.keep_file), *_registered(settings)}
    report = retain(
        Lake(settings.lake), keep, options.days, datetime.now(UTC), ignore_unknown=options.ignore_unknown
    )
    _LOG.info("retained", extra=report.to_json())
    return Answer(report.to_json(), yes=keep - set(report.unknown) == set(report.kept))


def _registered(settings: MlSettings) -> set[str]:
    registry, found = Registry(settings), set()
    for alias in ALIASES:
        try:
            found.add(registry.resolve(alias).data_version)
        except ModelNotFound:
            continue
    return found


def _listed(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        keep = json.loads(file.read_text(encoding="utf-8"))["keep"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadKeepFile(
            f'{str(file)!r} is no JSON object with a list "keep"; nothing was removed'
        ) from error
    if not (isinstance(keep, list) and all(isinstance(name, str) for name in keep)):
        raise BadKeepFile(f'"keep" in {str(file)!r} is no list of names; nothing was removed')
    return keep
