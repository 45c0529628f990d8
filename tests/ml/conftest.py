"""Fixtures that tests of `ml` share."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ml.settings import MlSettings

if TYPE_CHECKING:
    from tests.s3 import S3


A_PROCESS_OF_ITS_OWN = 300_000
"""Kibibytes of one that has loaded the libraries."""


@pytest.fixture(autouse=True, scope="module")
def memory_of_other_tests_is_not_counted() -> Iterator[None]:
    """The gate charges a model with the largest that its process has been; here hundreds of tests were in it before."""
    from ml import trial  # noqa: PLC0415

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def since_then(who: int) -> SimpleNamespace:
        return SimpleNamespace(ru_maxrss=A_PROCESS_OF_ITS_OWN + resource.getrusage(who).ru_maxrss - before)

    told = SimpleNamespace(getrusage=since_then, RUSAGE_SELF=resource.RUSAGE_SELF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "resource", told)
        yield


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


@pytest.fixture(scope="module")
def s3_of_the_module() -> Iterator[S3]:
    """A server that speaks S3."""
    from tests.s3 import s3_server  # noqa: PLC0415 - moto is loaded for the tests that need it

    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_of_the_module: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """It, empty, as the only account that this process knows."""
    from tests.s3 import NO_ACCOUNT  # noqa: PLC0415

    for name in NO_ACCOUNT:
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_of_the_module.variables.items():
        monkeypatch.setenv(name, value)
    s3_of_the_module.empty()
    return s3_of_the_module
