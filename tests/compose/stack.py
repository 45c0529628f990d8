"""The composed platform on this machine's podman, with images of this tree, on ports that are free.

Docker is not asked for: podman needs no service of its own, and builds and runs where there is no systemd.
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.apps.collector.senders import KEY
from tests.compose.afterwards import afterwards
from tests.compose.podman_compose import containers
from tests.repository.imports import ROOT

HERE = Path(__file__).parent
FILE = ROOT / "environments/local/compose.yaml"
NOT_HERE = {"grafana"}
"""Debian has no Grafana, and nothing can be pulled."""
IMAGES = "localhost/purchase-prediction"
PROJECT = f"purchase-prediction-test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
"""One for each checkout, so that two of them on one machine leave each other's containers alone."""

_OURS = ("collector", "console", "decision", "forecast", "oncall", "training")
_LONGEST_SECONDS = 900
BACK_SECONDS = 90


def definition() -> dict[str, Any]:
    """What compose.yaml says."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def long_lived() -> dict[str, dict[str, Any]]:
    """Its services, without the commands."""
    services: dict[str, dict[str, Any]] = definition()["services"]
    return {name: each for name, each in services.items() if "profiles" not in each}


SERVICES = sorted(long_lived().keys() - NOT_HERE)


_ENGINE = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


@dataclass(frozen=True)
class Stack:
    """A stack that is up.

    Attributes:
        variables: The environment of every command.
        held: What the teardown waits for the end of.
        ports: Published port by service.
        state: The folder of secrets and configuration.
        answer: What `python -m scripts.compose up` printed.
    """

    variables: dict[str, str]
    held: int
    ports: dict[str, int]
    state: Path
    answer: dict[str, Any]

    def url(self, service: str) -> str:
        """Where a service is published."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def container(self, service: str) -> dict[str, Any]:
        """What podman knows of a container, also while it is down."""
        (found,) = json.loads(self.podman("inspect", f"{PROJECT}_{service}_1").stdout)
        return dict(found)

    def restarts(self, service: str) -> int:
        """How often it came back."""
        return int(self.container(service)["RestartCount"])

    def healthy(self, service: str) -> bool:
        """What its own healthcheck says now."""
        found = containers(PROJECT).get(service)
        return found is not None and self.podman("healthcheck", "run", found).returncode == 0

    def kill(self, service: str) -> None:
        """SIGKILL to the first process of a container, as when memory has run out, until it is started again."""
        before, process = self.restarts(service), int(self.container(service)["State"]["Pid"])
        assert process > 1, f"{service} does not run"  # 0 would be this process and its group
        os.kill(process, signal.SIGKILL)
        until(lambda: self.restarts(service) > before, BACK_SECONDS)

    def executed(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in a container."""
        return self.podman("exec", containers(PROJECT)[service], *command)

    def podman(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the engine."""
        command = ["podman", *arguments]
        return subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)

    def left(self) -> list[str]:
        """Names of what there is of the project."""
        return left(self.variables)

    def run(self, *arguments: str) -> dict[str, Any]:
        """The JSON that `python -m scripts.compose` prints."""
        return _printed(self.variables, self.held, *arguments)


def until(happened: Callable[[], object], seconds: float) -> float:
    """Seconds until it happened."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < seconds
        time.sleep(0.5)
    return time.monotonic() - began


def left(variables: dict[str, str]) -> list[str]:
    """Names of containers, pods, volumes and networks of the project."""
    label = f"label=io.podman.compose.project={PROJECT}"
    asked = [
        ["ps", "--all", "--filter", label, "--format", "{{.Names}}"],
        ["pod", "ls", "--filter", f"name={PROJECT}", "--format", "{{.Name}}"],
        ["volume", "ls", "--filter", label, "--format", "{{.Name}}"],
        ["network", "ls", "--filter", label, "--format", "{{.Name}}"],
    ]
    told = (
        subprocess.run(["podman", *each], env=variables, stdout=subprocess.PIPE, text=True, check=True)
        for each in asked
    )
    return [name for each in told for name in each.stdout.split()]


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Everything up on an empty disk; nothing of it is left afterwards, however the test ends."""
    tag = built()
    state = folder / "state"
    ports = dict(zip(long_lived(), free_ports(len(long_lived())), strict=True))
    (folder / "containers.conf").write_text(_ENGINE)
    variables = {
        **os.environ,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "COMPOSE": f"{sys.executable} {HERE / 'podman_compose.py'}",
        "COMPOSE_FILE": f"{FILE}:{HERE / 'stand-ins.yaml'}",
        "COMPOSE_PROJECT_NAME": PROJECT,
        "EXPECTED_SERVICES": " ".join(SERVICES),
        "STATE": str(state),
        "IMAGES": IMAGES,
        **{f"{name.upper()}_PORT": str(port) for name, port in ports.items()},
    }
    command = [sys.executable, "-m", "scripts.compose", "down", "--volumes"]
    with afterwards(command, ROOT, variables) as held:
        if left(variables):  # by a run whose teardown was killed too
            _printed(variables, held, "down", "--volumes")
        (state / "secrets").mkdir(parents=True)
        (state / "secrets" / "collector_api_key").write_text(KEY)
        answer = _printed(variables, held, "up", "--no-build", "--image-tag", tag)
        yield Stack(variables, held, ports, state, answer)


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, below those that outgoing connections and a Kubernetes take by themselves."""
    found: list[int] = []
    for port in range(20000, 30000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == number:
            return found
    raise AssertionError(f"{len(found)} ports are free")


def _printed(variables: dict[str, str], held: int, *arguments: str) -> dict[str, Any]:
    """The JSON of a command, which the teardown waits for even where the test has been killed."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.compose", *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LONGEST_SECONDS,
        pass_fds=[held],
    )
    assert done.returncode == 0, done.stderr[-8000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def built() -> str:
    """The tag of the images of this tree; those that are there already are not built again."""
    tag = _content_tag()
    for name in _OURS:
        dockerfile = ROOT / ("ml/Dockerfile" if name == "training" else f"apps/{name}/Dockerfile")
        _build(f"{IMAGES}/{name}:{tag}", dockerfile, ROOT)
    _build(f"{IMAGES}/stand-ins:{tag}", HERE / "Dockerfile", HERE)
    return tag


def _content_tag() -> str:
    """Twelve hex digits of the paths and bytes of every file that a build can copy."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    where = [
        "apps",
        "ml",
        "requirements",
        "scripts",
        "tools/go.*",
        "tests/compose/Dockerfile",
        "tests/compose/postgres",
    ]
    done = subprocess.run([*listed, *where], cwd=ROOT, capture_output=True, text=True, check=True)
    digest = hashlib.sha256()
    for path in sorted(path for path in done.stdout.split("\0") if (ROOT / path).is_file()):
        content = (ROOT / path).read_bytes()
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def _build(image: str, dockerfile: Path, folder: Path) -> None:
    """By buildah, whose images podman has too; without rights to make a mount it still works."""
    there = subprocess.run(["podman", "image", "exists", image], check=False)
    if there.returncode == 0:
        return
    certificates = ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
    options = ["--isolation", "chroot", "--layers", "--quiet", *certificates, "--file", str(dockerfile)]
    subprocess.run(["buildah", "bud", *options, "--tag", image, str(folder)], check=True, capture_output=True)
