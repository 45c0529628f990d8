"""Check a stored bundle."""

from argparse import Namespace

from ml.bundle import unpack
from ml.model_store import ModelStore
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """The manifest of a bundle that was found, is whole and can be read."""
    data = ModelStore(settings.model_store).get_bundle(options.sha256)
    manifest = unpack(data, options.sha256).manifest
    return Answer(
        {"sha256": options.sha256, "bytes": len(data), "manifest": manifest.model_dump(mode="json")}
    )
