"""`promote confirm` on a real API server, with exactly the rights that argo/bootstrap grants it."""

import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import yaml
from lightkube import KubeConfig
from lightkube.config.models import User

from scripts.images.image_registry import ImageRegistry
from scripts.release_file import Release
from scripts.running.confirm import NotServed, Patience, Wait
from scripts.running.kubernetes import ClusterUnavailable, Kubernetes
from scripts.running.pods import Expected
from tests.cluster.bed import ROOT, Bed, run
from tests.cluster.images import store_image

pytestmark = pytest.mark.cluster

ROLE = ROOT / "argo" / "bootstrap" / "environment" / "release-reader.yaml"
RELEASE = Release(image_tag="one", model_version=12, model_sha256="5" * 64)
MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
SERVER = """
import http.server, os, signal, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/model-info" and os.environ.get("HANG"):
            time.sleep(60)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["INFO"].encode())
signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("STAYS") else signal.SIG_DFL)
http.server.ThreadingHTTPServer(("", 8001), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Place:
    """A namespace of this test, an image repository of this test, and a cluster seen with few rights."""

    namespace: str
    registry: str
    repository: str
    image: str
    cluster: Kubernetes

    @property
    def expected(self) -> Expected:
        digest = ImageRegistry().digest(self.image.rpartition(":")[0], RELEASE.image_tag)
        return Expected(self.namespace, RELEASE, {"forecast": self.image}, {"forecast": digest})

    def start(self, name: str, release: Release = RELEASE, **environment: str) -> None:
        """A pod that reports a release; it is there when this returns."""
        apply(self.namespace, self._pod(name, release, environment))
        self.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=120s")

    def end(self, name: str) -> None:
        self.kubectl("delete", "pod", name, "--grace-period=1", "--wait=true")

    def kubectl(self, *arguments: str) -> str:
        return run("kubectl", "--namespace", self.namespace, *arguments)

    def move_the_tag(self) -> None:
        """The same tag names another manifest from now on: one label more in its configuration."""
        with httpx.Client(base_url=f"http://{self.registry}/v2/{self.repository}", timeout=30) as http:
            manifest = http.get("/manifests/one", headers={"Accept": MANIFEST})
            document = manifest.json()
            config = http.get(f"/blobs/{document['config']['digest']}").json()
            config["config"].setdefault("Labels", {})["moved"] = secrets.token_hex(4)
            blob = json.dumps(config).encode()
            digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
            upload = http.post("/blobs/uploads/").headers["Location"]
            http.put(httpx.URL(upload).copy_merge_params({"digest": digest}), content=blob).raise_for_status()
            document["config"] |= {"digest": digest, "size": len(blob)}
            kind = {"Content-Type": manifest.headers["Content-Type"]}
            http.put("/manifests/one", content=json.dumps(document).encode(), headers=kind).raise_for_status()

    def _pod(self, name: str, release: Release, environment: dict[str, str]) -> dict[str, Any]:
        info = {"INFO": json.dumps(release.model_dump()), **environment}
        container = {
            "name": "forecast",
            "image": self.image,
            "imagePullPolicy": "Always",
            "command": ["/opt/venv/bin/python", "-c", SERVER],
            "env": [{"name": key, "value": value} for key, value in info.items()],
            "ports": [{"containerPort": 8001}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8001}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}},
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "forecast"}},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        }


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    bed = Bed.from_environment()
    namespace = f"confirm-{secrets.token_hex(4)}"
    repository = f"test/{namespace}"
    copy_image(bed.registry, store_image(bed.registry), repository)
    run("kubectl", "create", "namespace", namespace)
    try:
        cluster = with_few_rights(namespace)
        yield Place(namespace, bed.registry, repository, f"{bed.registry}/{repository}:one", cluster)
        cluster.close()
    finally:
        run("kubectl", "delete", "namespace", namespace, "--wait=false")


def apply(namespace: str, *objects: dict[str, Any]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file)
        file.flush()
        run("kubectl", "--namespace", namespace, "apply", "-f", file.name)


def copy_image(registry: str, image: str, repository: str) -> None:
    """Some image with a Python, under a name that this test may move; no layer is sent."""
    source, _, tag = image.partition("/")[2].rpartition(":")
    with httpx.Client(base_url=f"http://{registry}/v2", timeout=30) as http:
        manifest = http.get(f"/{source}/manifests/{tag}", headers={"Accept": MANIFEST})
        document = manifest.json()
        for blob in (document["config"], *document["layers"]):
            mounted = {"mount": blob["digest"], "from": source}
            assert http.post(f"/{repository}/blobs/uploads/", params=mounted).status_code == 201
        kind = {"Content-Type": manifest.headers["Content-Type"]}
        http.put(f"/{repository}/manifests/one", content=manifest.content, headers=kind).raise_for_status()


def with_few_rights(namespace: str) -> Kubernetes:
    """The cluster as the service account `confirm` sees it, bound as in an environment."""
    objects = list(yaml.safe_load_all(ROLE.read_text()))
    objects[1]["subjects"][0]["namespace"] = namespace
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "confirm"}}
    apply(namespace, account, *objects)
    token = run("kubectl", "--namespace", namespace, "create", "token", "confirm").strip()
    config = KubeConfig.from_env().get()
    assert config is not None
    return Kubernetes(config._replace(user=User(token=token)), timeout_seconds=3)


def seconds(
    place: Place, expected: Expected | None = None, *, timeout: float = 30, quiet: float = 2
) -> float:
    waiting = Wait(place.cluster, expected or place.expected, Patience(timeout, quiet), lambda _: None)
    return waiting.until_served()[1]


def test_the_pods_are_asked_one_by_one_and_each_that_differs_is_named(place: Place) -> None:
    place.start("good")
    assert seconds(place) < 10
    place.start("old", RELEASE.model_copy(update={"model_version": 11}))
    with pytest.raises(NotServed, match="old reports model_version 11, not 12"):
        seconds(place, timeout=4)
    place.end("old")
    place.start("silent", HANG="1")
    with pytest.raises(NotServed, match="silent does not answer in time"):
        seconds(place, timeout=4)
    place.end("silent")
    assert seconds(place) < 10
    both = {**place.expected.images, "decision": "x:one"}
    with pytest.raises(NotServed, match="decision has no pod"):
        seconds(place, replace(place.expected, images=both), timeout=2)


def test_an_old_pod_that_is_ending_is_waited_for(place: Place) -> None:
    place.start("stays", STAYS="1")
    place.kubectl("delete", "pod", "stays", "--grace-period=8", "--wait=false")
    with pytest.raises(NotServed, match="stays is still ending"):
        seconds(place, timeout=2)
    start = time.monotonic()
    seconds(place, timeout=30)
    assert time.monotonic() - start > 3


def test_a_moved_tag_is_found_in_what_the_nodes_pulled(place: Place) -> None:
    before = place.expected
    place.move_the_tag()
    assert place.expected.digests != before.digests
    assert seconds(place, before) < 10  # nobody has pulled it yet
    place.start("late")
    with pytest.raises(NotServed, match=r"late runs sha256:.* tag one was moved"):
        seconds(place, before, timeout=20)
    place.end("late")


def test_it_may_look_at_one_namespace_and_change_nothing(place: Place) -> None:
    with pytest.raises(ClusterUnavailable, match="cannot be listed"):
        place.cluster.pods("kube-system")
    account = f"system:serviceaccount:{place.namespace}:confirm"
    assert place.cluster.pods(place.namespace)
    told = place.kubectl("auth", "can-i", "--list", f"--as={account}")
    rows = [line.split() for line in told.splitlines() if line.startswith(("pods", "secrets", "*"))]
    assert sorted(row[0] for row in rows) == ["pods", "pods/proxy"]
    assert {" ".join(row[3:]) for row in rows} == {"[get list]", "[get]"}


def test_without_the_right_to_ask_no_pod_is_blamed(place: Place) -> None:
    place.kubectl(
        "patch", "role", "release-reader", "--type=json", "-p", '[{"op":"remove","path":"/rules/1"}]'
    )
    with pytest.raises(ClusterUnavailable, match="may not be asked"):
        seconds(place, replace(place.expected, digests={}), timeout=2)
