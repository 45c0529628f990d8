"""Fixtures that tests of `ml` share."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ml.settings import MlSettings


@pytest.fixture(scope="session")
def registry_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database with its tables and nothing of ours in it; making one takes seconds."""
    from ml.registry import Registry  # noqa: PLC0415 - MLflow is loaded for the tests that need it

    settings = MlSettings(state=tmp_path_factory.mktemp("tables"), model_name="nobody")
    Registry(settings)
    return settings.state / "mlflow.sqlite"


@pytest.fixture
def new_state(registry_tables: Path) -> Callable[[Path], MlSettings]:
    """Settings for a state folder, with an empty registry in it."""

    def make(folder: Path) -> MlSettings:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(registry_tables, folder / "mlflow.sqlite")
        return MlSettings(state=folder)

    return make
