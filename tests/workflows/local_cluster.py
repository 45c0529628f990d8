"""An API server of this machine: pods that serve what Git says, and workflows of which each name is made once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.release_file import Release
from tests.cluster.bed import PLATFORM
from tests.environments.rendered import of_kind, with_release
from tests.scripts.test_kubernetes import Answer, answering, say

ENVIRONMENTS = ("staging", "production")


@contextmanager
def local_cluster(release: Release, workflows: Path) -> Iterator[dict[str, Any]]:
    """Its kubeconfig. Staging and production run a release; a workflow that is made becomes a file of a folder."""
    answers = {f"/apis/argoproj.io/v1alpha1/namespaces/{PLATFORM}/workflows": _making(workflows)}
    for environment in ENVIRONMENTS:
        answers |= _pods(environment, release)
    with answering(answers) as port:
        cluster = {"server": f"http://127.0.0.1:{port}"}
        yield {
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": cluster}],
            "users": [{"name": "x", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }


def _making(folder: Path) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        made = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        folder.mkdir(exist_ok=True)
        try:
            with (folder / made["metadata"]["name"]).open("x") as file:
                json.dump(made, file, sort_keys=True)
        except FileExistsError:
            say(409, {"kind": "Status"})(handler)
        else:
            say(201, made)(handler)

    return answer


def _pods(environment: str, release: Release) -> dict[str, Answer]:
    """A pod for each Deployment, with its image; they report the release."""
    with TemporaryDirectory() as folder:
        found = of_kind(with_release(release, Path(folder), of=environment), "Deployment")
    pods = [_pod(each["metadata"]["name"], each["spec"]["template"]) for each in found]
    path = f"/api/v1/namespaces/purchase-prediction-{environment}/pods"
    info = f"{path}/forecast-1:8001/proxy/model-info"
    content = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}
    return {path: say(200, content), info: say(200, release.model_dump())}


def _pod(service: str, template: dict[str, Any]) -> dict[str, Any]:
    (own,) = (each for each in template["spec"]["containers"] if each["name"] == service)
    status = {
        "name": service,
        "imageID": "x@sha256:1",
        "restartCount": 0,
        "ready": True,
        "image": "x",
        "state": {},
    }
    return {
        "metadata": {"name": f"{service}-1", "uid": service, "labels": template["metadata"]["labels"]},
        "spec": {"containers": [own]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status],
        },
    }
