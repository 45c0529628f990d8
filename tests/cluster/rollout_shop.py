"""A service under Argo CD, Argo Rollouts and a Prometheus: the environments' own forecast, a tiny program in its pods.

What a release does is its image tag: all tags are one image, and the program behaves as the tag begins. Waits and
windows of the analyses are seconds here instead of minutes; all else is what `environments/` says.
"""

import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from scripts.release_file import Release
from scripts.running.kubernetes import Kubernetes
from scripts.running.watch import Watch, keep_looking
from tests.cluster import argocd
from tests.cluster.bed import HERE, ROOT, Bed
from tests.cluster.gitea import PROMOTER, GiteaWorld, gitea_world
from tests.cluster.images import store_image
from tests.cluster.pods import Api, api
from tests.cluster.test_confirm import MANIFEST, copy_image
from tests.policies.api_server import kubectl
from tests.scripts.free_port import free_port

TAGS = ("good-1", "good-2", "good-3", "slow", "failing", "silent", "other")
SERVER = Path(__file__).with_name("rollout_program.py")
COPIED = ("base/forecast", "components/release", "components/rollout")
SECONDS = {  # of the components, and here
    "interval: &interval 30s": "interval: &interval 3s",
    "interval: 30s": "interval: 3s",
    "initialDelay: 30s": "initialDelay: 4s",
    "initialDelay: &delay 30s": "initialDelay: &delay 4s",
    "count: &count 5": "count: &count 2",
    "pause: {duration: 2m}": "pause: {duration: 8s}",
    "value: 2m": "value: 8s",
    "scaleDownDelaySeconds: 300": "scaleDownDelaySeconds: 30",
    'value: "20"': 'value: "5"',
    "http://kube-prometheus-stack-prometheus.monitoring:9090": "PROMETHEUS",
}


class _Over(Exception):
    """The watch was long enough."""


@dataclass
class RolloutShop:
    """A forecast service behind a canary or blue-green Rollout, callers, and the process that watches it."""

    world: GiteaWorld
    namespace: str
    application: str
    cluster: Kubernetes
    files: Callable[..., dict[str, bytes]]
    stop: threading.Event = field(default_factory=threading.Event)
    failed: list[str] = field(default_factory=list)
    answered: int = 0

    def promoted(self, version: int, tag: str) -> None:
        """Merge a release and tell Argo CD."""
        _release(self.world, version, tag)
        argocd.refresh(self.application)

    def merged(self) -> None:
        """Merge what is open and tell Argo CD."""
        self.world.merge()
        argocd.refresh(self.application)

    def take(self, *components: str) -> None:
        """Have the overlay take these components of `rollout`, and tell Argo CD."""
        self.world.commit_as_person("components", self.files(*components))
        argocd.refresh(self.application)

    def watch(self) -> Watch:
        """A look at the Rollouts, as the pod of the platform takes it."""
        return Watch(self.world.forge, lambda: self.world.bridge, self.cluster, "local", "watch")

    @contextmanager
    def watched(self) -> Iterator[list[dict[str, Any]]]:
        """The process runs meanwhile, as a thread; what it says comes back."""
        said: list[dict[str, Any]] = []
        stop = threading.Event()

        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise _Over

        def look() -> None:
            with suppress(_Over):
                keep_looking(self.watch(), 1, said.append, pause)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield said
        finally:
            stop.set()
            thread.join()

    def rollout(self) -> dict[str, Any]:
        """The Rollout as the API server has it."""
        found, _ = kubectl("-n", self.namespace, "get", "rollout", "forecast", "-o", "json", may_fail=True)
        return dict(json.loads(found or "{}"))

    def serves(self, release: Release) -> bool:
        """Whether the Rollout is healthy and every pod that its Service leads to is of this release and ready."""
        status = self.rollout().get("status", {})
        if status.get("phase") != "Healthy":
            return False
        active = status.get("blueGreen", {}).get("activeSelector", "")
        pods = [each for each in self.cluster.pods(self.namespace) if active in each.name]
        staying = [each for each in pods if not each.ending]
        return bool(staying) and all(
            each.ready and each.image.endswith(f":{release.image_tag}") for each in staying
        )

    def call(self) -> None:
        """Ten requests a second until the end, each on a connection of its own."""
        url = ""
        while not self.stop.wait(0.1):
            url = url or self._url()
            try:
                httpx.get(url, timeout=5, trust_env=False).raise_for_status()
                self.answered += 1
            except httpx.HTTPError as error:
                self.failed.append(str(error))

    def _url(self) -> str:
        """Where the Service can be called from here, once Argo CD has made it."""
        port = "{.spec.ports[0].nodePort}"
        said, _ = kubectl(
            "-n", self.namespace, "get", "service", "forecast", "-o", f"jsonpath={port}", may_fail=True
        )
        return f"http://{HERE}:{said}/forecast/P1" if said else ""


@contextmanager
def rollout_shop(folder: Path, *components: str) -> Iterator[RolloutShop]:
    """A first release, `good-1`, is on its way; all is gone at the end. `components`: those of `rollout` to take."""
    bed, name = Bed.from_environment(), f"rollouts-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        world = stack.enter_context(gitea_world(folder))
        kubectl("create", "namespace", name)
        stack.callback(kubectl, "delete", "namespace", name, "--wait=false")
        _prepare(bed, name)
        prometheus = stack.enter_context(_prometheus(folder, name))

        def files(*taken: str) -> dict[str, bytes]:
            overlay = yaml.safe_dump(_overlay(f"{bed.registry}/test/{name}", name, taken))
            return {"environments/local/kustomization.yaml": overlay.encode()}

        world.commit_as_person("overlay", dict(_copied(prometheus)) | files(*components))
        _release(world, 1, "good-1")  # else pods of an image that is nowhere come first
        kubectl("apply", "-f", "-", given=_argo_cd(world, name))
        stack.callback(argocd.remove, name)
        stack.callback(kubectl, "-n", "argocd", "delete", "secret", name)
        cluster = Kubernetes()
        stack.callback(cluster.close)
        shop = RolloutShop(world, name, name, cluster, files)
        callers = threading.Thread(target=shop.call)
        callers.start()
        stack.callback(callers.join)
        stack.callback(shop.stop.set)
        yield shop


def _release(world: GiteaWorld, version: int, tag: str) -> None:
    """Train, propose, approve and merge."""
    world.train(version)
    world.open(str(version), tag)
    world.merge()


def _prepare(bed: Bed, name: str) -> None:
    """Images under every tag, and the secrets that pods refer to."""
    copy_image(bed.registry, store_image(bed.registry), f"test/{name}")
    with httpx.Client(base_url=f"http://{bed.registry}/v2/test/{name}", timeout=30) as http:
        one = http.get("/manifests/one", headers={"Accept": MANIFEST})
        for tag in TAGS:
            kind = {"Content-Type": one.headers["Content-Type"]}
            http.put(f"/manifests/{tag}", content=one.content, headers=kind).raise_for_status()
    keys = {"access-key-id": "x", "secret-access-key": "x", "api-key": "x"}
    kubectl(
        "-n",
        name,
        "apply",
        "-f",
        "-",
        given=[
            *(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": each}, "stringData": keys}
                for each in ("model-store", "forecast-api-key")
            ),
        ],
    )


def _copied(prometheus: str) -> Iterator[tuple[str, bytes]]:
    """Files of the repository: the real base and components, but for their seconds."""
    found = set()
    for path in (each for part in COPIED for each in (ROOT / "environments" / part).rglob("*.yaml")):
        text = path.read_text()
        for real, here in SECONDS.items():
            found |= {real} if real in text else set()
            text = text.replace(real, here)
        yield str(path.relative_to(ROOT)), text.replace("PROMETHEUS", prometheus).encode()
    assert found == SECONDS.keys(), SECONDS.keys() - found


def _overlay(image: str, namespace: str, taken: tuple[str, ...]) -> dict[str, Any]:
    """An overlay with the lines of a strategy, or none."""
    program = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "forecast"},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "forecast",
                            "command": ["/opt/venv/bin/python", "-c", SERVER.read_text()],
                            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                        }
                    ]
                }
            }
        },
    }
    outside = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "forecast"},
        "spec": {"type": "NodePort"},
    }
    unused = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": each}, "$patch": "delete"}
        for version, kind, each in (
            *([("argoproj.io/v1alpha1", "Rollout", "decision")] if taken else []),
            *([("v1", "Service", "decision-preview")] if "blue-green" in taken else []),
        )
    ]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": ["../base/forecast", "release.yaml"],
        "components": ["../components/release", *(f"../components/rollout/{each}" for each in taken)],
        "images": [{"name": "forecast", "newName": image}],
        "patches": [{"patch": yaml.safe_dump(each)} for each in (program, outside, *unused)],
    }


def _argo_cd(world: GiteaWorld, name: str) -> list[dict[str, Any]]:
    """The repository's key, and an application with the sync policy of the environments in a project of its own.

    Its syncs have every right in this namespace, also while Argo CD lets each act as its own account.
    """
    real = yaml.safe_load((ROOT / "argo/applications/purchase-prediction-staging.yaml").read_text())
    spec = real["spec"] | {"project": name}
    spec["source"] |= {"repoURL": world.on.remote, "path": "environments/local"}
    spec["destination"]["namespace"] = name
    login = {"url": world.on.remote, "username": PROMOTER, "password": world.on.tokens[PROMOTER]}
    labels = {"argocd.argoproj.io/secret-type": "repository"}
    place = {"name": name, "namespace": argocd.NAMESPACE}
    here, every = {"server": spec["destination"]["server"], "namespace": name}, [{"group": "*", "kind": "*"}]
    project = {
        "sourceRepos": [world.on.remote],
        "destinations": [here],
        "destinationServiceAccounts": [{**here, "defaultServiceAccount": "sync"}],
        "namespaceResourceWhitelist": every,
    }
    account = {"kind": "ServiceAccount", "name": "sync", "namespace": name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    own = {"name": "sync", "namespace": name}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": own,
            "roleRef": role,
            "subjects": [account],
        },
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": place, "spec": project},
        {"apiVersion": "v1", "kind": "Secret", "metadata": place | {"labels": labels}, "stringData": login},
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": place, "spec": spec},
    ]


@contextmanager
def _prometheus(folder: Path, namespace: str) -> Iterator[str]:
    """A Prometheus of this machine that scrapes the pods under the labels that a PodMonitor gives; its URL."""
    pods = folder / "pods.json"
    pods.write_text("[]")
    job = {"job_name": "pods", "file_sd_configs": [{"files": [str(pods)], "refresh_interval": "1s"}]}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    url = f"{HERE}:{free_port()}"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--web.listen-address={url}"]
    command += [f"--storage.tsdb.path={folder / 'prometheus'}", "--log.level=error"]
    stop = threading.Event()
    with subprocess.Popen(command) as process, api() as asked:
        finder = threading.Thread(target=_find, args=(asked, namespace, pods, stop))
        finder.start()
        try:
            _until(lambda: _ready(f"http://{url}/-/ready"), 30)
            yield f"http://{url}"
        finally:
            stop.set()
            finder.join()
            process.terminate()


def _find(asked: Api, namespace: str, file: Path, stop: threading.Event) -> None:
    """Write down which pods there are: Debian's Prometheus cannot ask the API server."""
    while not stop.wait(0.5):
        found = asked.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
        targets = [
            {
                "targets": [f"{each['status']['podIP']}:8001"],
                "labels": {"namespace": namespace, "pod": each["metadata"]["name"]},
            }
            for each in found
            if each["status"].get("podIP")
        ]
        new = file.with_suffix(".new")
        new.write_text(json.dumps(targets))
        new.replace(file)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not in {seconds} s"
        time.sleep(0.2)
