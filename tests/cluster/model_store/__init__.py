"""The platform's S3 in the test bed: moto's server in a pod, reached from pods by name and from here by a node port."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.bed import HERE, PLATFORM

BUCKET, NAME, NODE_PORT = "models", "model-store", 30833
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-of-nobody", "AWS_REGION": "us-east-1"}
DOCKERFILE = Path(__file__).parent / "Dockerfile"

_PORT, _SERVED = 8333, 5000


def manifests(image: str) -> list[dict[str, Any]]:
    """Its pod and its Service."""
    labels = {"app.kubernetes.io/name": NAME}
    container = {
        "name": NAME,
        "image": image,
        "ports": [{"containerPort": _SERVED}],
        "readinessProbe": {"tcpSocket": {"port": _SERVED}, "periodSeconds": 1},
        "resources": {
            "requests": {"cpu": "20m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    ports = [{"port": _PORT, "targetPort": _SERVED, "nodePort": NODE_PORT}]
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": PLATFORM},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": PLATFORM},
            "spec": {"type": "NodePort", "selector": labels, "ports": ports},
        },
    ]


def make_bucket(limit_seconds: float = 60) -> None:
    """The empty bucket, once the store answers."""
    until = time.monotonic() + limit_seconds
    while True:
        try:
            httpx.put(f"http://{HERE}:{NODE_PORT}/{BUCKET}", timeout=5, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < until, f"no model store on {HERE}:{NODE_PORT} in {limit_seconds:.0f} s"
            time.sleep(0.3)
        else:
            return
