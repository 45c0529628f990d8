"""List registered models, or move an alias."""

from argparse import Namespace
from dataclasses import asdict

from ml.registry import Registry
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Every version, oldest first."""
    registry = Registry(settings)
    for alias in ("champion", "challenger"):
        version = getattr(options, alias)
        if version is not None:
            registry.set_alias(alias, version)
    versions = [asdict(each) | {"created_at": each.created_at.isoformat()} for each in registry.versions()]
    return Answer({"model": registry.name, "versions": versions})
