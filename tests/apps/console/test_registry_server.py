"""What the console reads of MLflow by its REST interface is what a real server has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.console import model_registry, registered
from apps.console.model_registry import ModelRegistry
from ml.errors import ModelNotFound, StoreUnavailable
from ml.registry import Registry
from ml.settings import MlSettings
from tests.apps.console.many_versions import register
from tests.apps.console.repository import Forge, release
from tests.apps.console.signed_in import signed_in
from tests.apps.console.test_console import settings
from tests.apps.console.test_releases import until
from tests.ml.small_models import manifest
from tests.mlflow_server import mlflow_server

pytestmark = pytest.mark.system

VERSIONS = 53


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    register(folder, VERSIONS)
    with mlflow_server(folder) as url:
        yield url


def test_all_versions_are_read_page_by_page(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_registry, "_AT_A_TIME", 20)
    found = ModelRegistry(server).newest(1_000)
    assert [version.version for version, _ in found] == list(range(VERSIONS, 0, -1))
    assert [aliases for _, aliases in found] == [("challenger",), *([()] * (VERSIONS - 1))]
    assert found[0][0].sha256 == f"{VERSIONS:064x}"
    assert len(ModelRegistry(server).newest(7)) == 7


def test_versions_and_aliases_are_found_and_what_is_not_there_is_not(server: str) -> None:
    registry = ModelRegistry(server)
    assert registry.resolve("challenger") == registry.resolve(str(VERSIONS))
    for absent in ("champion", "latest", str(VERSIONS + 1)):
        with pytest.raises(ModelNotFound):
            registry.resolve(absent)
    assert b"better" in registry.artifact(7, "verdict.json")
    with pytest.raises(ModelNotFound):
        registry.artifact(7, "nothing.json")
    assert ModelRegistry(server, "nobody").newest(5) == []


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        ModelRegistry("http://127.0.0.1:9").newest(5)


def test_what_a_training_registers_is_read_back(server: str, tmp_path: Path) -> None:
    settings = MlSettings(state=tmp_path, tracking_uri=server, model_name="trained")
    papers = {"backtest.json": '{"pit": [0.5, 0.5]}'}
    version = Registry(settings).register("a" * 64, manifest(), {"wape": 0.4}, papers)
    Registry(settings).set_alias("champion", version)
    (found,) = registered.registered(ModelRegistry(server, "trained"), None).versions
    assert (found.registered.version, found.registered.sha256) == (version, "a" * 64)
    assert found.aliases == ("champion",)
    assert found.papers is not None
    assert found.papers.backtest is not None
    assert found.papers.backtest.pit == (0.5, 0.5)


def test_papers_of_older_versions_are_read_later(server: str) -> None:
    registry, known, counts = ModelRegistry(server), None, []
    for _ in range(4):
        known = registered.registered(registry, known)
        counts.append(sum(each.papers is not None for each in known.versions))
    assert counts == [5, 25, 45, VERSIONS]


def test_challengers_are_shown_by_page(server: str, tmp_path: Path) -> None:
    forge = Forge(tmp_path / "repository.git")
    forge.release("local: model 1", release(1))
    given = settings(forge.path).model_copy(update={"model_registry": server})
    with signed_in(given) as client:
        first = until(client, "/models", f">{VERSIONS} <span")
        last = client.get("/models?challengers=40").text
    assert "1 to 20 of 52" in first
    assert "41 to 52 of 52" in last
    assert ">2 " in last
    assert "not read yet" in last
