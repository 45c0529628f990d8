"""Stand-ins of the bed for the platform's services, under their names, and the Secrets that steps read."""

from pathlib import Path
from typing import Any, Final

from tests.cluster import images, model_store
from tests.cluster.bed import PLATFORM, Bed
from tests.cluster.repository import PROMOTER
from tests.workflows.argo import Document
from tests.workflows.pods import RESTRICTED

NAMES: Final = ("database", "model-store", "registry")
OPENER: Final = "lake-opener"

_DATABASE = Path(__file__).parent / "database" / "Dockerfile"
_PASSWORD = "a-password-of-nobody"
_MLFLOW = (
    *("mlflow", "server", "--host=0.0.0.0", "--port=5000", "--workers=1"),
    *("--backend-store-uri=sqlite:////tmp/registry.sqlite", "--artifacts-destination=/tmp/artifacts"),
)
_OF_MLFLOW = {
    "HOME": "/tmp",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "registry:5000",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def manifests(bed: Bed, training: str) -> list[Document]:
    """PostgreSQL, an S3 and MLflow, all of which forget with their pods, and the Secrets."""
    store = model_store.manifests(images.store_image(bed.registry))
    store[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"] = RESTRICTED
    database = images.stand_in(bed.registry, "database", _DATABASE)
    mlflow = {
        "command": list(_MLFLOW),
        "env": [{"name": name, "value": value} for name, value in _OF_MLFLOW.items()],
    }
    return [
        *(_secret(name, content) for name, content in _secrets(bed).items()),
        *store,
        *_service("database", 5432, {"image": database}),
        *_service("registry", 5000, {"image": training, **mlflow}),
    ]


def opened(path: str, image: str) -> Document:
    """A pod that lets steps write to a folder of the node: `fsGroup` is not for volumes of this kind."""
    container = {
        "name": "opener",
        "image": image,
        "command": ["chown", "10001:10001", "/lake"],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "lake", "mountPath": "/lake"}],
    }
    volume = {"name": "lake", "hostPath": {"path": path}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": OPENER, "namespace": "default"},
        "spec": spec,
    }


def _secrets(bed: Bed) -> dict[str, dict[str, str]]:
    return {
        "forge": {"token": bed.tokens[PROMOTER]},
        "forge-reader": {"token": bed.tokens[PROMOTER]},
        "inboxes": {"staging": _PASSWORD, "production": _PASSWORD},
        "model-store-writer": {
            "access-key-id": model_store.KEYS["AWS_ACCESS_KEY_ID"],
            "secret-access-key": model_store.KEYS["AWS_SECRET_ACCESS_KEY"],
        },
        "pseudonym-key": {"key": "a-pseudonym-key-for-the-tests-only"},
    }


def _secret(name: str, content: dict[str, str]) -> Document:
    metadata = {"name": name, "namespace": PLATFORM}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}


def _service(name: str, port: int, container: dict[str, Any]) -> list[Document]:
    labels = {"app.kubernetes.io/name": name}
    whole = {
        "name": name,
        "ports": [{"containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}},
        **container,
    }
    metadata = {"name": name, "namespace": PLATFORM}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [whole]}}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": port}]},
        },
    ]
