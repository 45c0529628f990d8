"""Print the bill of materials of a stored bundle."""

import json
from argparse import Namespace

from ml.bundle import unpack
from ml.errors import ModelNotFound
from ml.model_store import ModelStore
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """CycloneDX, as it lies in the bundle."""
    bundle = unpack(ModelStore.of(settings).get_bundle(options.sha256), options.sha256)
    if not bundle.sbom:
        raise ModelNotFound(f"bundle {options.sha256[:12]} was made before bundles said this; train it again")
    return Answer(json.loads(bundle.sbom))
