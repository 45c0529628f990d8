"""Pods of staging and production on the bed that say they serve what Git says; small, of the services' own images."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.manifests import render
from scripts.release_file import parse, path_of
from tests.cluster.test_confirm import SERVER
from tests.environments.rendered import documents, of_kind
from tests.policies.api_server import kubectl
from tests.workflows.argo import Document
from tests.workflows.pods import RESTRICTED

ENVIRONMENTS = ("staging", "production")


@contextmanager
def served(checkout: Path) -> Iterator[None]:
    """One pod for each Deployment of both environments, as a checkout of the repository has them; gone afterwards."""
    pods = [pod for environment in ENVIRONMENTS for pod in _pods(checkout, environment)]
    kubectl("apply", "-f", "-", given=pods)
    try:
        for environment in ENVIRONMENTS:
            namespace = f"purchase-prediction-{environment}"
            kubectl("-n", namespace, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=55s")
        yield
    finally:
        kubectl("delete", "--wait=false", "--grace-period=1", "-f", "-", given=pods)


def _pods(checkout: Path, environment: str) -> list[Document]:
    release = parse((checkout / path_of(environment)).read_bytes())
    found = documents(render.build(checkout / "environments" / environment))
    info = json.dumps(release.model_dump())
    return [_pod(each["metadata"], each["spec"]["template"], info) for each in of_kind(found, "Deployment")]


def _pod(metadata: dict[str, Any], template: dict[str, Any], info: str) -> Document:
    service = metadata["name"]
    (own,) = (each for each in template["spec"]["containers"] if each["name"] == service)
    container = {
        "name": service,
        "image": own["image"],
        "command": ["/opt/venv/bin/python", "-c", SERVER],
        "env": [{"name": "INFO", "value": info}],
        "ports": [{"containerPort": 8001}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8001}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}},
        "securityContext": RESTRICTED,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{service}-stand-in",
            "namespace": metadata["namespace"],
            "labels": {"app.kubernetes.io/name": service},
        },
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }
