"""What runs, asked from the API server and from every pod itself; shares no code with `promote confirm`."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from scripts.release_file import Release
from tests.cluster.bed import HERE
from tests.cluster.images import SERVICES

_PORT = 8001
_PAUSES = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Pod:
    """One pod of one service; an ending one may still answer."""

    name: str
    service: str
    image_tag: str
    ready: bool
    ending: bool


class Api:
    """The API server as an administrator sees it, over `kubectl proxy` on this machine."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str) -> dict[str, Any]:
        """The object or list at this path; asked again where the API server is too busy to answer."""
        for pause in (*_PAUSES, None):
            try:
                answer = self._http.get(path)
                if pause is None or not answer.is_server_error:
                    break
            except httpx.TransportError:
                if pause is None:
                    raise
            time.sleep(pause)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def pods(self, namespace: str) -> list[Pod]:
        """The pods of our services."""
        items = self.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        found = [_pod(item) for item in items]
        return [pod for pod in found if pod.service in SERVICES]

    def said(self, namespace: str, pod: Pod, path: str) -> str:
        """What a forecast pod answers, with whatever status; nothing while it does not listen."""
        try:
            return self._http.get(f"/api/v1/namespaces/{namespace}/pods/{pod.name}:{_PORT}/proxy{path}").text
        except httpx.HTTPError:
            return ""

    def live(self, namespace: str, release: Release, *, alone: bool = False) -> bool:
        """Whether every pod is ready and runs the release; `alone`: old ones have ended too.

        The Deployments must have seen their newest template and have the pods they want.
        """
        deployments = self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments")["items"]
        if len(deployments) < len(SERVICES) or not all(map(_rolled_out, deployments)):
            return False
        pods = self.pods(namespace)
        staying = [pod for pod in pods if not pod.ending]
        if alone and len(staying) < len(pods):
            return False
        return all(pod.ready and pod.image_tag == release.image_tag for pod in staying) and all(
            self._reports(namespace, pod, release) for pod in staying if pod.service == "forecast"
        )

    def _reports(self, namespace: str, pod: Pod, release: Release) -> bool:
        try:
            info = json.loads(self.said(namespace, pod, "/model-info"))
        except ValueError:
            return False
        return all(info.get(name) == value for name, value in release.model_dump().items())


@contextmanager
def api() -> Iterator[Api]:
    """The API server that `KUBECONFIG` names, while the context is open."""
    command = ["kubectl", "proxy", "--port=0", f"--address={HERE}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            address = proxy.stdout.readline().rpartition(" ")[2].strip()
            with httpx.Client(base_url=f"http://{address}", timeout=10, trust_env=False) as http:
                yield Api(http)
        finally:
            proxy.terminate()


def seconds_until(holds: Callable[[], bool], limit_seconds: float, what: str, pause: float = 0.2) -> float:
    """How long it took from now until `holds` was true.

    Raises:
        AssertionError: It was not within the limit.
    """
    start = time.monotonic()
    while not holds():
        passed = time.monotonic() - start
        assert passed < limit_seconds, f"not within {limit_seconds:.0f} s: {what}"
        time.sleep(pause)
    return time.monotonic() - start


def _pod(item: dict[str, Any]) -> Pod:
    conditions = item["status"].get("conditions", [])
    service = item["metadata"].get("labels", {}).get("app.kubernetes.io/name", "")
    return Pod(
        name=item["metadata"]["name"],
        service=service,
        image_tag=item["spec"]["containers"][0]["image"].rpartition(":")[2],
        ready=any(each["type"] == "Ready" and each["status"] == "True" for each in conditions),
        ending="deletionTimestamp" in item["metadata"],
    )


def _rolled_out(deployment: dict[str, Any]) -> bool:
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    seen = bool(status.get("observedGeneration") == deployment["metadata"]["generation"])
    counts = {status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return seen and counts == {wanted}
