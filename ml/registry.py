"""MLflow's door: which models exist, what they were made of, and which is challenger or champion."""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# MLflow reads these when it is imported: no usage reports to its makers, no migration log on stderr, and no address of
# a run on stdout, which is one JSON object of ours.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow.exceptions
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.entities.model_registry import ModelVersion as StoredVersion
from sqlalchemy.exc import SADeprecationWarning, SQLAlchemyError

from ml.bundle import Manifest
from ml.errors import ModelNotFound, StoreUnavailable
from ml.settings import MlSettings

ALIASES = ("challenger", "champion")

_SHA256 = "model_sha256"
_DATA_VERSION = "data_version"
_CANDIDATE = "candidate"
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True)
class ModelVersion:
    """A registered model; `sha256` names its bundle in the model store."""

    version: int
    sha256: str
    data_version: str
    candidate: str
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    run_id: str
    created_at: datetime


class Registry:
    """The registered model `settings.model_name`; an embedded database and its folder appear at first use.

    Raises:
        StoreUnavailable: The tracking database cannot be opened or written.
    """

    def __init__(self, settings: MlSettings) -> None:
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self.name, self.tracking_uri = settings.model_name, settings.tracking_uri
        on_server = self.tracking_uri.startswith(("http://", "https://"))
        self._artifacts = None if on_server else settings.artifacts.as_uri()  # None: where the server says
        with self._available():
            settings.state.mkdir(parents=True, exist_ok=True)
            self._client = MlflowClient(self.tracking_uri, self.tracking_uri)
            self._experiment = self._experiment_id()

    def register(
        self,
        sha256: str,
        manifest: Manifest,
        metrics: Mapping[str, float],
        artifacts: Mapping[str, bytes | str],
    ) -> int:
        """The version of this bundle: a new one, or the one it has already, also where two register it at once.

        Args:
            sha256: The bundle's digest.
            manifest: Logged as the run's parameters.
            metrics: Finite numbers by name, also of other candidates.
            artifacts: File name to content, kept beside the run.
        """
        with self._available():
            known = self._versions_of(sha256)
            if not known:
                run_id, folder = self._log_run(sha256, manifest, metrics, artifacts)
                tags = {_SHA256: sha256, _DATA_VERSION: manifest.data_version, _CANDIDATE: manifest.candidate}
                self._ensure_model()
                own = self._client.create_model_version(self.name, source=folder, run_id=run_id, tags=tags)
                known = self._versions_of(sha256)
                if int(own.version) != min(known):
                    self._client.delete_model_version(self.name, str(own.version))
        return min(known)

    def resolve(self, version_or_alias: str) -> ModelVersion:
        """The version of a number ("12") or an alias ("challenger", "champion").

        Raises:
            ModelNotFound: There is none.
        """
        number = version_or_alias.isascii() and version_or_alias.isdecimal()
        if not number and version_or_alias not in ALIASES:  # MLflow itself would take "latest"
            raise self._not_found(version_or_alias)
        try:
            with self._available():
                return self._model_version(self._stored(version_or_alias))
        except mlflow.exceptions.MlflowException as error:
            if error.error_code not in _ABSENT:
                raise
            raise self._not_found(version_or_alias) from error

    def champion(self) -> ModelVersion | None:
        """The version that production runs, None before the first release."""
        try:
            return self.resolve("champion")
        except ModelNotFound:
            return None

    def set_alias(self, alias: str, version: int) -> None:
        """Point an alias at a version; it leaves the version it had."""
        if alias not in ALIASES:
            raise ModelNotFound(f"alias {alias!r} is not one of {', '.join(ALIASES)}")
        self.resolve(str(version))
        with self._available():
            self._client.set_registered_model_alias(self.name, alias, str(version))

    def versions(self) -> list[ModelVersion]:
        """Every version, oldest first."""
        with self._available():
            found = self._client.search_model_versions(f"name = '{self.name}'")
            # A search leaves aliases out; reading the version brings them.
            versions = [self._client.get_model_version(self.name, each.version) for each in found]
            return sorted(map(self._model_version, versions), key=lambda each: each.version)

    def artifact(self, version: int, name: str) -> bytes:
        """One artifact of a version's run.

        Raises:
            ModelNotFound: The version has no such artifact.
        """
        run_id = self.resolve(str(version)).run_id
        with tempfile.TemporaryDirectory() as folder, self._available():
            try:
                return Path(self._client.download_artifacts(run_id, name, folder)).read_bytes()
            except (mlflow.exceptions.MlflowException, FileNotFoundError) as error:
                raise ModelNotFound(f"version {version} of {self.name!r} has no artifact {name!r}") from error

    def _not_found(self, version_or_alias: str) -> ModelNotFound:
        return ModelNotFound(
            f"model {self.name!r} has no version {version_or_alias!r}; `python -m ml models` lists them"
        )

    def _stored(self, version_or_alias: str) -> StoredVersion:
        if version_or_alias.isdecimal():
            return self._client.get_model_version(self.name, version_or_alias)
        by_alias = self._client.get_model_version_by_alias(self.name, version_or_alias)
        return self._client.get_model_version(self.name, by_alias.version)

    def _model_version(self, stored: StoredVersion) -> ModelVersion:
        run_id = str(stored.run_id)
        return ModelVersion(
            version=int(stored.version),
            sha256=stored.tags[_SHA256],
            data_version=stored.tags[_DATA_VERSION],
            candidate=stored.tags[_CANDIDATE],
            metrics=dict(self._client.get_run(run_id).data.metrics),
            aliases=tuple(sorted(stored.aliases)),
            run_id=run_id,
            created_at=datetime.fromtimestamp(stored.creation_timestamp / 1000, UTC),
        )

    def _versions_of(self, sha256: str) -> list[int]:
        found = self._client.search_model_versions(f"name = '{self.name}' and tags.{_SHA256} = '{sha256}'")
        return [int(each.version) for each in found]

    def _log_run(
        self,
        sha256: str,
        manifest: Manifest,
        metrics: Mapping[str, float],
        artifacts: Mapping[str, bytes | str],
    ) -> tuple[str, str]:
        run = self._client.create_run(
            self._experiment, run_name=f"{manifest.candidate} {manifest.target_month}"
        )
        run_id = run.info.run_id
        now = run.info.start_time
        params = [
            Param(key, _text(value))
            for key, value in manifest.model_dump(mode="json", exclude={"metrics"}).items()
        ]
        values = [Metric(key, value, now, 0) for key, value in metrics.items()]
        self._client.log_batch(run_id, metrics=values, params=[*params, Param(_SHA256, sha256)])
        with tempfile.TemporaryDirectory() as folder:
            for name, content in artifacts.items():
                (Path(folder) / name).write_bytes(content.encode() if isinstance(content, str) else content)
            self._client.log_artifacts(run_id, folder)
        self._client.set_terminated(run_id)
        return run_id, str(run.info.artifact_uri)

    def _experiment_id(self) -> str:
        if self._client.get_experiment_by_name(self.name) is None:
            with _made_by_another():
                self._client.create_experiment(self.name, self._artifacts)
        experiment = self._client.get_experiment_by_name(self.name)
        assert experiment is not None  # noqa: S101 - made above
        return str(experiment.experiment_id)

    def _ensure_model(self) -> None:
        with _made_by_another():
            self._client.create_registered_model(self.name)

    @contextmanager
    def _available(self) -> Iterator[None]:
        """Turn a database that cannot be used into one sentence; MLflow's other errors pass."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SADeprecationWarning)  # MLflow 3.17 on SQLAlchemy 2.1
                yield
        except (OSError, SQLAlchemyError) as error:
            raise StoreUnavailable(f"cannot use {self.tracking_uri}: {str(error).splitlines()[0]}") from error
        except mlflow.exceptions.MlflowException as error:
            if error.error_code in {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"}:
                raise StoreUnavailable(
                    f"cannot use {self.tracking_uri}: {str(error).splitlines()[0]}"
                ) from error
            raise


@contextmanager
def _made_by_another() -> Iterator[None]:
    """Pass over what another process made in the meantime."""
    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
