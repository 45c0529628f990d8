"""The world of the story: a bed with both environments, their models, images and repository."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.release_file import Release, edit, path_of
from tests.cluster import argocd, images, keys, model_store
from tests.cluster.bed import PLATFORM, PRODUCTION, ROOT, STAGING, Bed
from tests.cluster.models import Model, Models
from tests.cluster.pods import Api, api, seconds_until
from tests.cluster.progress import tell
from tests.cluster.repository import GiteaRepository
from tests.policies.api_server import kubectl

NODE_PORTS = {STAGING: 30801, PRODUCTION: 30802}

_API_KEY = {"api-key": "a-key-for-the-tests-only"}
_STORE_KEY = {
    "access-key-id": model_store.KEYS["AWS_ACCESS_KEY_ID"],
    "secret-access-key": model_store.KEYS["AWS_SECRET_ACCESS_KEY"],
}
_PSEUDONYM_KEY = {"key": "a-pseudonym-key-for-the-tests-only"}
_KEYS = {
    "keys.jsonl": json.dumps(
        {"sha256": "0" * 64, "source": "nobody", "environment": "staging", "roles": ["sender"]}
    )
}
_READER = {"api-key": keys.READER}
_SECRETS = {
    "collector-api-key": _API_KEY,
    "collector-keys": _KEYS,
    "console-api-key": _READER,
    "console-oncall-key": _READER,
    "console-forge": {"token": "a-token-for-the-tests-only"},
    "console-argo": {"token": "a-token-for-the-tests-only"},
    "console-sign-in": {
        "session-key": "a-session-key-for-the-tests-only",
        "client-id": "console",
        "client-secret": "a-client-secret-for-the-tests-only",
    },
    "decision-forecast-key": _READER,
    "forecast-api-key": _API_KEY,
    "model-store": _STORE_KEY,
    "pseudonym-key": _PSEUDONYM_KEY,
    "rate-limits": {
        "url": "redis://rate-limits.purchase-prediction-platform:6379"
    },  # there is none on the bed
}


@dataclass(frozen=True)
class World:
    """Everything is there and nothing is released yet.

    Attributes:
        tags: Two tags under which every service's image is in the registry.
        first: The trained model; `models.retrained` makes more.
    """

    bed: Bed
    api: Api
    repository: GiteaRepository
    models: Models
    tags: tuple[str, str]
    first: Model
    webhook_secret: str = field(repr=False)

    def release(self, tag: str, model: Model) -> Release:
        """The three lines of a release."""
        return Release(image_tag=tag, model_version=model.version, model_sha256=model.sha256)

    def write_release(self, folder: Path, environment: str, release: Release) -> None:
        """Change the lines by hand, in a clone."""
        file = folder / path_of(environment)
        file.write_bytes(edit(file.read_bytes(), release))

    def tell_argo_cd(self) -> None:
        """The forge tells Argo CD of every push from now on."""
        self.repository.remove_webhooks()
        self.repository.add_webhook(f"{self.bed.argocd_url}/api/webhook", self.webhook_secret)

    def install(self, environment: str) -> None:
        """Argo CD keeps the environment from now on, and a node port leads to its forecast service."""
        namespace = f"purchase-prediction-{environment}"
        argocd.install(self.repository.folder, namespace)
        kubectl("apply", "-f", "-", given=[_node_port(namespace)])


@contextmanager
def world() -> Iterator[World]:
    """Built on a clean bed, and taken away afterwards; what a killed run left is taken away first."""
    bed, folder = Bed.from_environment(), Path(tempfile.mkdtemp(prefix="release-story-"))
    repository, models = GiteaRepository(bed, folder / "repository"), Models(folder / "models")
    repository.folder.mkdir()
    clean(repository)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.callback(clean, repository)
        with ThreadPoolExecutor(2) as pool:
            tell("images and events")
            tag = pool.submit(images.built, bed.registry)
            models.prepared()
            _namespaces(images.store_image(bed.registry))
            first_tag = tag.result()
        tags = (first_tag, images.relabelled(bed.registry, first_tag, "again"))
        tell("images on the node, a trained model in the store")
        with ThreadPoolExecutor(2) as pool:
            pulled = pool.submit(_pull, bed.registry, tags)
            model_store.make_bucket()
            first = models.trained()
            pulled.result()
        tell("repository and Argo CD")
        repository.make()
        _policies(repository.folder / "policies")
        secret = stack.enter_context(argocd.configured())
        yield World(bed, stack.enter_context(api()), repository, models, tags, first, secret)


def clean(repository: GiteaRepository) -> None:
    """Nothing of the story is on the bed any more; images stay in the registry, under the digest of their content."""
    argocd.remove(argocd.ROOT, *argocd.APPLICATIONS)
    kubectl("delete", "--ignore-not-found", "-k", str(ROOT / "policies"))
    kubectl("delete", "--ignore-not-found", "--timeout=55s", "-k", str(ROOT / "argo" / "bootstrap"))
    repository.remove()


def _namespaces(store_image: str) -> None:
    for environment in ("staging", "production"):
        kubectl("apply", "-k", str(ROOT / "argo" / "bootstrap" / environment))
    kubectl("create", "namespace", PLATFORM)
    for namespace in (STAGING, PRODUCTION):
        kubectl("apply", "-f", "-", given=[_secret(namespace, *each) for each in _secrets(namespace).items()])
    kubectl("apply", "-f", "-", given=model_store.manifests(store_image))


def _secrets(namespace: str) -> dict[str, dict[str, str]]:
    environment = namespace.removeprefix("purchase-prediction-")
    return {**_SECRETS, "api-keys": {"keys.jsonl": keys.key_file(environment)}}


def _policies(folder: Path) -> None:
    """Install them; they take effect about a second later."""
    kubectl("apply", "-k", str(folder))
    hand = ["-n", PRODUCTION, "create", "deployment", "by-hand", "--image=none", "--dry-run=server"]
    seconds_until(
        lambda: "ValidatingAdmissionPolicy" in kubectl(*hand, may_fail=True)[1], 30, "policies in force"
    )


def _pull(registry: str, tags: tuple[str, ...]) -> None:
    """Bring the images onto the node: a pod of each, which ends at once."""
    containers = [
        {
            "name": f"{service}-{number}",
            "image": f"{registry}/{images.PROJECT}/{service}:{tag}",
            "command": ["/bin/true"],
        }
        for number, tag in enumerate(tags)
        for service in images.SERVICES
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pull", "namespace": PLATFORM},
        "spec": {"restartPolicy": "Never", "containers": containers},
    }
    kubectl("create", "-f", "-", given=[pod])
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl("-n", PLATFORM, "wait", ended, "pod/pull", "--timeout=55s")
    kubectl("-n", PLATFORM, "delete", "pod", "pull", "--grace-period=1")


def _secret(namespace: str, name: str, content: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}


def _node_port(namespace: str) -> dict[str, Any]:
    ports = [{"port": 8001, "targetPort": "http", "nodePort": NODE_PORTS[namespace]}]
    selector = {"app.kubernetes.io/name": "forecast"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "forecast-from-outside", "namespace": namespace},
        "spec": {"type": "NodePort", "selector": selector, "ports": ports},
    }
