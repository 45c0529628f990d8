"""The registry on a real MLflow over SQLite: numbers, aliases, and nothing registered twice."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from mlflow import MlflowClient

from ml.errors import ModelNotFound, StoreUnavailable
from ml.registry import Registry
from ml.settings import MlSettings
from tests.ml.small_models import manifest

METRICS = {"pinball": 0.5, "naive.pinball": 0.7}
ARTIFACTS: dict[str, bytes | str] = {"benchmark.json": '{"a":1}', "benchmark.png": b"\x89PNG\x00"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One database for the whole file: making its tables takes seconds. Tests use digests of their own."""
    return Registry(MlSettings(state=tmp_path_factory.mktemp("registry")))


@pytest.fixture
def digests(request: pytest.FixtureRequest) -> Iterator[str]:
    """Digests that no other test uses."""
    return (f"{request.node.name}-{i}".encode().hex().ljust(64, "0")[-64:] for i in range(10))


def test_a_version_says_what_it_is_and_what_it_was_made_from(
    registry: Registry, digests: Iterator[str]
) -> None:
    sha256 = next(digests)
    version = registry.register(sha256, manifest("theta"), METRICS, ARTIFACTS)
    stored = registry.resolve(str(version))
    assert (stored.version, stored.sha256, stored.candidate) == (version, sha256, "theta")
    assert stored.data_version == manifest().data_version
    assert stored.metrics == METRICS
    assert abs(stored.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert registry.artifact(version, "benchmark.json") == b'{"a":1}'
    assert registry.artifact(version, "benchmark.png") == ARTIFACTS["benchmark.png"]


def test_the_same_bundle_is_one_version(registry: Registry, digests: Iterator[str]) -> None:
    sha256, other = next(digests), next(digests)
    first = registry.register(sha256, manifest(), METRICS, {})
    assert registry.register(other, manifest(), METRICS, {}) == first + 1
    before = len(registry.versions())
    assert registry.register(sha256, manifest(), METRICS, {}) == first
    assert len(registry.versions()) == before


def test_two_that_register_the_same_bundle_at_once_leave_one_version(
    registry: Registry, digests: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, log_run = Barrier(2, timeout=60), Registry._log_run

    def together(self: Registry, *arguments: Any) -> tuple[str, str]:
        both.wait()
        return log_run(self, *arguments)

    monkeypatch.setattr(Registry, "_log_run", together)
    sha256 = next(digests)
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: registry.register(sha256, manifest(), METRICS, {}), range(2)))
    kept = [each.version for each in registry.versions() if each.sha256 == sha256]
    assert said == kept * 2
    assert len(kept) == 1


def test_an_experiment_that_another_makes_at_the_same_time_is_used(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, answers = MlflowClient.get_experiment_by_name, iter([None])

    def not_there_yet(self: MlflowClient, name: str) -> Any:
        return next(answers, find(self, name))

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", not_there_yet)
    state = Path(registry.tracking_uri.removeprefix("sqlite:///")).parent
    assert Registry(MlSettings(state=state))._experiment == registry._experiment


def test_an_alias_moves_and_names_one_version(registry: Registry, digests: Iterator[str]) -> None:
    old, new = (registry.register(next(digests), manifest(), METRICS, {}) for _ in range(2))
    registry.set_alias("challenger", old)
    assert registry.resolve("challenger").version == old
    registry.set_alias("challenger", new)
    assert registry.resolve("challenger").version == new
    assert [each.version for each in registry.versions() if "challenger" in each.aliases] == [new]
    assert registry.resolve(str(new)).aliases == ("challenger",)


def test_before_the_first_release_there_is_no_champion_and_then_there_is(
    registry: Registry, digests: Iterator[str]
) -> None:
    assert registry.champion() is None
    version = registry.register(next(digests), manifest(), METRICS, {})
    registry.set_alias("champion", version)
    champion = registry.champion()
    assert champion is not None
    assert champion.version == version


@pytest.mark.parametrize("name", ["99999", "0", "latest", "", "Champion"])
def test_what_is_not_registered_is_not_found(registry: Registry, name: str) -> None:
    with pytest.raises(ModelNotFound, match="python -m ml models"):
        registry.resolve(name)


def test_an_alias_for_nothing_and_an_unknown_alias_are_refused(registry: Registry) -> None:
    with pytest.raises(ModelNotFound):
        registry.set_alias("challenger", 99999)
    with pytest.raises(ModelNotFound, match="'production' is not one of challenger, champion"):
        registry.set_alias("production", 1)


def test_a_missing_artifact_is_named(registry: Registry, digests: Iterator[str]) -> None:
    version = registry.register(next(digests), manifest(), METRICS, {})
    with pytest.raises(ModelNotFound, match=r"no artifact 'plan\.json'"):
        registry.artifact(version, "plan.json")


def test_the_run_holds_the_manifest_as_parameters(registry: Registry, digests: Iterator[str]) -> None:
    version = registry.register(next(digests), manifest("theta"), METRICS, {})
    run = registry._client.get_run(registry.resolve(str(version)).run_id)
    assert run.data.params["candidate"] == "theta"
    assert json.loads(run.data.params["risk_cuts"]) == [0.4, 0.9]
    assert run.info.status == "FINISHED"


def test_a_second_process_sees_the_same_versions(registry: Registry, digests: Iterator[str]) -> None:
    version = registry.register(next(digests), manifest(), METRICS, {})
    again = Registry(MlSettings(state=Path(registry.tracking_uri.removeprefix("sqlite:///")).parent))
    assert again.resolve(str(version)) == registry.resolve(str(version))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreUnavailable, match="state"):
        Registry(MlSettings(state=tmp_path / "state"))


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.sqlite").write_text("not a database, but long enough to look at " * 50)
    with pytest.raises(StoreUnavailable, match=r"mlflow\.sqlite"):
        Registry(MlSettings(state=tmp_path))
