"""Real models of a made-up shop, trained by the command line, in an S3 that runs in the cluster."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml.bucket import Bucket
from ml.bundle import Bundle, pack, unpack
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.panel import load_history
from ml.registry import Registry
from ml.settings import MlSettings
from ml.snapshot import snapshot_bytes
from scripts.evidence.candidate import BENCHMARK, VERDICT
from scripts.evidence.papers import MONEY
from tests.cluster.bed import HERE, run
from tests.cluster.model_store import BUCKET, KEYS, NODE_PORT

_PRODUCTS, _MONTHS = 60, 30


@dataclass(frozen=True)
class Model:
    """A registered model whose bundle and snapshot are in the store."""

    version: int
    sha256: str


@dataclass(frozen=True)
class Models:
    """The registry in a folder of this machine, and the store in the cluster."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """What `python -m ml` and `promote` need to find both."""
        return {
            "ML_STATE": str(self.folder / "state"),
            "ML_MODEL_STORE": f"s3://{BUCKET}",
            "AWS_ENDPOINT_URL": f"http://{HERE}:{NODE_PORT}",
            "OMP_NUM_THREADS": "1",
            **KEYS,
        }

    def prepared(self) -> None:
        """A panel to learn from; needs no store."""
        events = self.folder / "events"
        self._ml("synthesize", "--out", str(events), "--products", str(_PRODUCTS), "--months", str(_MONTHS))
        self._ml("ingest", "--events", str(events))
        self._ml("panel")

    def trained(self) -> Model:
        """The best candidate as challenger, with its forecasts."""
        self._ml("quality", "--as-of", "newest")
        done = self._ml("train")
        self._ml("forecast", "--model", "challenger")
        return Model(done["version"], done["sha256"])

    def retrained(self, first: Model, count: int) -> list[Model]:
        """As many more versions as `count`: the first one with another seed in its manifest, so other bytes.

        They are challengers one after the other, with the papers of the first.
        """
        with variables_set(self.variables):
            settings = MlSettings()
            registry, store = Registry(settings), ModelStore(settings.model_store)
            history = load_history(Lake(settings.lake), None)
            bundle = unpack(store.get_bundle(first.sha256), first.sha256)
            papers = {name: registry.artifact(first.version, name) for name in (BENCHMARK, VERDICT, MONEY)}
            made = []
            for seed in range(1000, 1000 + count):
                data = _with_seed(bundle, seed)
                sha256 = store.put_bundle(data)
                again = unpack(data, sha256)
                version = registry.register(sha256, again.manifest, {}, papers)
                registry.set_alias("challenger", version)
                name = again.manifest.data_version
                snapshot = snapshot_bytes(again, version, name, history, datetime.now(UTC))
                store.put_snapshot(sha256, name, snapshot)
                made.append(Model(version, sha256))
        return made

    @contextmanager
    def flipped(self, model: Model) -> Iterator[None]:
        """One bit of the model's bundle is another one in the store, for as long as the context lasts."""
        with variables_set(self.variables):
            bucket, name = Bucket(f"s3://{BUCKET}"), f"bundles/{model.sha256}.tar"
        whole = bucket.read(name)
        middle = len(whole) // 2
        bucket.write(name, whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        try:
            yield
        finally:
            bucket.write(name, whole)

    def _ml(self, *arguments: str) -> dict[str, Any]:
        """The answer of a verb; training may end with 1, a model that its gate did not let pass."""
        said = run(sys.executable, "-m", "ml", *arguments, environment=self.variables, codes=(0, 1))
        answer: dict[str, Any] = json.loads(said)
        assert "error" not in answer, answer
        return answer


def _with_seed(bundle: Bundle, seed: int) -> bytes:
    return pack(
        bundle.manifest.model_copy(update={"seed": seed}),
        model=bundle.predictor.model.state(),
        calibration=bundle.predictor.calibration.state(),
        record=bundle.record.state(),
        months=bundle.months.state(),
    )


@contextmanager
def variables_set(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
