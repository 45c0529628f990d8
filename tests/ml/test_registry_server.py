"""The registry on an MLflow server, as the platform runs it, does what the embedded one does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.registry import Registry
from ml.settings import MlSettings
from tests.ml.small_models import manifest
from tests.mlflow_server import mlflow_server

pytestmark = pytest.mark.system


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with mlflow_server(tmp_path) as url:
        yield url


def test_a_version_its_alias_and_its_artifacts_are_kept_by_the_server(server: str, tmp_path: Path) -> None:
    settings = MlSettings(state=tmp_path / "client", tracking_uri=server)
    version = Registry(settings).register("a" * 64, manifest(), {"wape": 0.4}, {"table.json": "[]"})
    Registry(settings).set_alias("champion", version)
    again = Registry(MlSettings(state=tmp_path / "another-client", tracking_uri=server))
    champion = again.champion()
    assert champion is not None
    assert (champion.version, champion.sha256, champion.aliases) == (1, "a" * 64, ("champion",))
    assert again.artifact(1, "table.json") == b"[]"
    assert not (tmp_path / "client" / "mlflow.sqlite").exists()
