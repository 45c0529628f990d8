"""Vouch for a model that lies in the store unsigned, or signed by a key that no longer counts."""

from argparse import Namespace

from ml.bundle import unpack
from ml.model_store import ModelStore
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """What was signed, after the bundle was found, is whole and can be read."""
    unpack(ModelStore(settings.model_store).get_bundle(options.sha256), options.sha256)
    return Answer({"sha256": options.sha256, "signed": ModelStore.of(settings).sign(options.sha256)})
