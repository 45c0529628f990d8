"""Check a stored bundle."""

from argparse import Namespace

from ml.bundle import unpack
from ml.model_store import ModelStore
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """The manifest and the model card of a bundle that was found, is whole and can be read."""
    data = ModelStore.of(settings).get_bundle(options.sha256)
    bundle = unpack(data, options.sha256)
    told = {"manifest": bundle.manifest.model_dump(mode="json"), "card": bundle.card}
    return Answer({"sha256": options.sha256, "bytes": len(data), **told})
