"""Kubernetes' door: the pods of a namespace and what they answer, asked through the API server.

It needs `get` and `list` on `pods` and `get` on `pods/proxy` in one namespace, and `list` on the kinds that
`scripts.running.rollouts` asks for where Argo Rollouts is used; the credentials are those of kubectl: a kubeconfig, or
the service account when this runs in a pod.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import httpx2
from lightkube import Client, KubeConfig
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.models.core_v1 import Container, ContainerStatus
from lightkube.operators import exists
from lightkube.resources.core_v1 import Pod as StoredPod
from yaml import YAMLError

from scripts.errors import Broken

SERVICE_LABEL = "app.kubernetes.io/name"

_ENDED = ("Succeeded", "Failed")  # they hold their place in the list until someone removes them
_NOT_ALLOWED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_TIMEOUT_SECONDS = 5.0
_MAX_ANSWER_BYTES = 65_536
_MAX_LIST_BYTES = 16 * 2**20


class ClusterUnavailable(Broken):
    """The API server cannot be reached or does not let us look."""


class NoAnswer(Exception):
    """A pod does not answer, or not with success; the text says how."""


@dataclass(frozen=True)
class Pod:
    """A pod that runs or starts, as the API server knows it.

    Attributes:
        name: Unique in its namespace, until it is made again.
        uid: Unique for ever.
        service: Its label `app.kubernetes.io/name`, also the name of its main container.
        image: What the pod asks for, `registry/name:tag`.
        image_id: What the node runs, `registry/name@sha256:…`; empty before it was pulled.
        port: First port of the main container, None when it has none.
        ready: Whether it is in its Service.
        ending: Whether it was told to end.
        restarts: How often the main container was started again.
    """

    name: str
    uid: str
    service: str
    image: str
    image_id: str
    port: int | None
    ready: bool
    ending: bool
    restarts: int


class Cluster(Protocol):
    """Where the pods are."""

    def pods(self, namespace: str) -> list[Pod]:
        """Every pod that carries the label of a service and has not ended, by name.

        Raises:
            ClusterUnavailable: They cannot be listed.
        """

    def get(self, namespace: str, pod: Pod, path: str) -> bytes:
        """What a pod answers to GET.

        Raises:
            NoAnswer: Nothing in time, too much, or another status than 200.
            ClusterUnavailable: The API server does not let us ask.
        """

    def objects(self, namespace: str, group: str, resource: str) -> list[dict[str, Any]]:
        """Every object of `group/version` and a resource's plural name, as JSON; none where it is unknown.

        Raises:
            ClusterUnavailable: They cannot be listed.
        """

    def create(self, namespace: str, group: str, resource: str, made: dict[str, Any]) -> bool:
        """Make an object of `group/version` and a resource's plural name; False where one has its name.

        Raises:
            ClusterUnavailable: It is not made.
        """

    def close(self) -> None:
        """End the connections."""


class Kubernetes:
    """A cluster behind an API server; `config` is the one kubectl would use unless it is given."""

    def __init__(self, config: SingleConfig | None = None, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        try:
            found = config or KubeConfig.from_env().get()
        except (ConfigError, YAMLError, OSError, KeyError, ValueError) as error:
            raise ClusterUnavailable(f"no kubeconfig can be used: {error}; set KUBECONFIG") from error
        if found is None:  # pragma: no cover - only with a default, which is not given
            raise ClusterUnavailable("the kubeconfig names no context")
        self._seconds, timeout = timeout_seconds, httpx2.Timeout(timeout_seconds)
        self._api = Client(found, timeout=timeout)
        self._http = client_adapter.Client(found, client_adapter.ConnectionParams(timeout))

    def pods(self, namespace: str) -> list[Pod]:
        """See `Cluster.pods`."""
        try:
            with self._reached():
                stored = list(
                    self._api.list(StoredPod, namespace=namespace, labels={SERVICE_LABEL: exists()})
                )
        except ApiError as error:
            raise ClusterUnavailable(f"pods of {namespace} cannot be listed: {error}") from error
        running = [each for each in stored if not (each.status and each.status.phase in _ENDED)]
        return sorted(map(_pod, running), key=lambda pod: pod.name)

    def get(self, namespace: str, pod: Pod, path: str) -> bytes:
        """See `Cluster.get`."""
        port = f":{pod.port}" if pod.port else ""
        url = f"/api/v1/namespaces/{namespace}/pods/{pod.name}{port}/proxy/{path.lstrip('/')}"
        with self._reached(silent=NoAnswer):
            status, body = self._got(url, _MAX_ANSWER_BYTES)
        if status == HTTPStatus.OK:
            return body
        said = body.decode(errors="replace")[:300]
        if status in _NOT_ALLOWED and '"kind":"Status"' in said:  # not the pod's own words
            raise ClusterUnavailable(f"pods of {namespace} may not be asked: {said}")
        raise NoAnswer(f"answers with status {status}: {said}")

    def objects(self, namespace: str, group: str, resource: str) -> list[dict[str, Any]]:
        """See `Cluster.objects`."""
        what = f"{resource} of {namespace}"
        try:
            with self._reached():
                status, body = self._got(f"/apis/{group}/namespaces/{namespace}/{resource}", _MAX_LIST_BYTES)
        except NoAnswer as error:
            raise ClusterUnavailable(f"{what} cannot be listed: the API server {error}") from error
        if status == HTTPStatus.NOT_FOUND:
            return []
        if status != HTTPStatus.OK:
            raise ClusterUnavailable(f"{what} cannot be listed: {body.decode(errors='replace')[:300]}")
        items: list[dict[str, Any]] = json.loads(body)["items"]
        return items

    def create(self, namespace: str, group: str, resource: str, made: dict[str, Any]) -> bool:
        """See `Cluster.create`."""
        with self._reached():
            answer = self._http.post(f"/apis/{group}/namespaces/{namespace}/{resource}", json=made)
        if answer.status_code in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            return answer.status_code == HTTPStatus.CREATED
        raise ClusterUnavailable(f"{resource} of {namespace} cannot be made: {answer.text[:300]}")

    def _got(self, url: str, most_bytes: int) -> tuple[int, bytes]:
        """Status and content, which must be there in time and not too long."""
        deadline = time.monotonic() + self._seconds
        with self._http.stream("GET", url) as answer:
            body = bytearray()
            for part in answer.iter_bytes():
                body += part
                if len(body) > most_bytes:
                    raise NoAnswer(f"answers with more than {most_bytes} bytes")
                if time.monotonic() > deadline:
                    raise NoAnswer("does not answer in time")
        return answer.status_code, bytes(body)

    def close(self) -> None:
        """See `Cluster.close`."""
        self._api.close()
        self._http.close()

    @contextmanager
    def _reached(self, silent: type[Exception] = ClusterUnavailable) -> Iterator[None]:
        """Name what happened when nothing came back; a time-out may be the pod's."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise silent("does not answer in time") from error
        except ApiError:
            raise
        except (httpx2.HTTPError, OSError) as error:
            raise ClusterUnavailable(
                f"{self._http.base_url} cannot be reached: {error or type(error).__name__}"
            ) from error


def _pod(stored: StoredPod) -> Pod:
    metadata, spec, status = stored.metadata, stored.spec, stored.status
    if metadata is None or spec is None:  # pragma: no cover - the API server sends both
        raise ClusterUnavailable("the API server sent a pod without metadata or spec")
    service = (metadata.labels or {})[SERVICE_LABEL]
    main = next((each for each in spec.containers if each.name == service), spec.containers[0])
    known = next(
        (each for each in (status and status.containerStatuses) or [] if each.name == main.name), None
    )
    conditions = (status and status.conditions) or []
    return Pod(
        name=metadata.name or "",
        uid=metadata.uid or "",
        service=service,
        image=main.image or "",
        image_id=known.imageID if known else "",
        port=_port(main),
        ready=any(each.type == "Ready" and each.status == "True" for each in conditions),
        ending=metadata.deletionTimestamp is not None,
        restarts=_restarts(known),
    )


def _port(container: Container) -> int | None:
    return container.ports[0].containerPort if container.ports else None


def _restarts(status: ContainerStatus | None) -> int:
    return status.restartCount if status else 0
