"""The models that can be promoted: MLflow's REST interface, read without MLflow's library."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

import httpx

from ml.errors import ModelNotFound, StoreUnavailable

ALIASES = frozenset({"challenger", "champion"})
_AT_A_TIME = 500
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class RegisteredVersion:
    """A model version as the registry describes it."""

    version: int
    sha256: str
    data_version: str
    candidate: str
    run_id: str
    created_at: datetime


class ModelRegistry:
    """One registered model of an MLflow server.

    Args:
        url: Of the server; without one nothing is known.
        name: Of the model.
    """

    def __init__(self, url: str | None, name: str = "demand") -> None:
        self._url, self._name = url, name

    def resolve(self, version_or_alias: str, /) -> RegisteredVersion:
        """The version of a number or an alias.

        Raises:
            ModelNotFound: There is none.
            StoreUnavailable: The registry cannot be asked.
        """
        version = version_or_alias
        if not (version.isascii() and version.isdecimal()):
            if version not in ALIASES:  # MLflow itself would take "latest"
                raise self._not_found(version)
            version = self._model_version("registered-models/alias", version, alias=version)["version"]
        found = self._model_version("model-versions/get", version, version=version)
        try:
            return _registered(found)
        except (KeyError, ValueError):
            raise self._not_found(version_or_alias) from None

    def newest(self, most: int, /) -> list[tuple[RegisteredVersion, tuple[str, ...]]]:
        """The newest versions with their aliases, newest first; those that training did not register are left out.

        Raises:
            StoreUnavailable: The registry cannot be asked.
        """
        model = self._document("registered-models/get", name=self._name)
        aliases: dict[str, list[str]] = {}
        for each in model.get("registered_model", {}).get("aliases", []):
            aliases.setdefault(str(each["version"]), []).append(each["alias"])
        found = []
        for each in islice(self._found(min(most, _AT_A_TIME)), most):
            with suppress(KeyError, ValueError):
                found.append((_registered(each), tuple(sorted(aliases.get(str(each["version"]), ())))))
        return found

    def _found(self, at_a_time: int) -> Iterator[dict[str, Any]]:
        """Every version as it is told, newest first."""
        query = {
            "filter": f"name='{self._name}'",
            "order_by": "version_number DESC",
            "max_results": str(at_a_time),
        }
        while True:
            answer = self._document("model-versions/search", **query)
            yield from answer.get("model_versions", [])
            token = answer.get("next_page_token")
            if not token:
                return
            query["page_token"] = token

    def artifact(self, version: int, name: str, /) -> bytes:
        """A file kept with the training.

        Raises:
            ModelNotFound: There is none.
            StoreUnavailable: The registry cannot be asked.
        """
        return self.artifact_of(self.resolve(str(version)).run_id, name)

    def artifact_of(self, run_id: str, name: str, /) -> bytes:
        """A file kept with a run.

        Raises:
            ModelNotFound: There is none.
            StoreUnavailable: The registry cannot be asked.
        """
        answer = self._get("/get-artifact", path=name, run_uuid=run_id)
        if answer.status_code != HTTPStatus.OK:
            raise ModelNotFound(f"run {run_id} of {self._name!r} has no artifact {name!r}")
        return answer.content

    def set_alias(self, alias: str, version: int, /) -> None:
        """Nothing: aliases follow what pods report, not what was proposed.

        Raises:
            StoreUnavailable: Always.
        """
        raise StoreUnavailable(f"the console moves no alias, neither {alias!r} to version {version}")

    def _model_version(self, path: str, asked: str, **query: str) -> dict[str, Any]:
        answer = self._get(f"/api/2.0/mlflow/{path}", name=self._name, **query)
        if answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:
            raise self._not_found(asked)
        try:
            found: dict[str, Any] = answer.raise_for_status().json()["model_version"]
        except (httpx.HTTPError, ValueError, KeyError):
            raise StoreUnavailable(f"the model registry answered {answer.status_code}") from None
        return found

    def _document(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._get(f"/api/2.0/mlflow/{path}", **query)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return {}
        try:
            found: dict[str, Any] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            raise StoreUnavailable(f"the model registry answered {answer.status_code}") from None
        return found

    def _get(self, where: str, /, **query: str) -> httpx.Response:
        if self._url is None:
            raise StoreUnavailable("no model registry is set, so nobody knows what could be promoted")
        try:
            return httpx.get(
                self._url.rstrip("/") + where, params=query, timeout=TIMEOUT_SECONDS, trust_env=False
            )
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"the model registry does not answer ({type(error).__name__})") from None

    def _not_found(self, asked: str) -> ModelNotFound:
        return ModelNotFound(f"model {self._name!r} has no version {asked!r}")


def _registered(found: Mapping[str, Any]) -> RegisteredVersion:
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    return RegisteredVersion(
        version=int(found["version"]),
        sha256=tags["model_sha256"],
        data_version=tags["data_version"],
        candidate=tags["candidate"],
        run_id=found["run_id"],
        created_at=datetime.fromtimestamp(int(found["creation_timestamp"]) / 1000, UTC),
    )
