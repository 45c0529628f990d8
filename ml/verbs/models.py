"""List registered models, or move an alias."""

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from ml.registry import ModelVersion, Registry
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Every version, oldest first."""
    registry = Registry(settings)
    for alias in ("champion", "challenger"):
        version = getattr(options, alias)
        if version is not None:
            registry.set_alias(alias, version)
    return Answer({"model": registry.name, "versions": [_described(each) for each in registry.versions()]})


def _described(version: ModelVersion) -> dict[str, Any]:
    """One version with its own scores; those of the other candidates are in its `benchmark.json`."""
    own = {name: value for name, value in version.metrics.items() if "." not in name}
    return asdict(version) | {"metrics": own, "created_at": version.created_at.isoformat()}
