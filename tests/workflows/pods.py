"""Steps of a workflow as pods of a real Kubernetes, with everything that their templates say."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.cluster.bed import PLATFORM
from tests.cluster.pods import Api
from tests.policies.api_server import kubectl
from tests.workflows.argo import Document, Ended, Step

LIMIT_SECONDS: Final = 400
MAIN = "main"
"""Argo gives a step's container this name."""

_KEPT, _PORT = "/var/run/argo", 8766

FORWARD = """
import asyncio, sys
async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
async def joined(reader, writer):
    there, back = await asyncio.open_connection(sys.argv[3], int(sys.argv[4]))
    await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(joined, sys.argv[1], int(sys.argv[2]))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
"""`HOST PORT TO_HOST TO_PORT`: what comes to one address goes to another; prints the port that it listens on."""

RESTRICTED: Final[Document] = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Pods:
    """Where steps run.

    Attributes:
        api: The API server.
        registry: Where the image registry listens for nodes, such as `localhost:5001`.
        forwarded: Address and port of this machine behind which that registry is: a container beside the step
            makes the registry's name mean the same in a pod as on its node.
    """

    api: Api
    registry: str
    forwarded: tuple[str, str]

    def __call__(self, step: Step) -> Ended:
        """Run one attempt to its end."""
        name = f"{step.name}-{step.attempt}-{time.monotonic_ns() % 10**9}"
        kubectl("create", "-f", "-", given=[self.pod(step, name)])
        path = f"/api/v1/namespaces/{PLATFORM}/pods/{name}"
        until = time.monotonic() + LIMIT_SECONDS
        while (code := _ended(self.api.get(path))) is None:
            assert time.monotonic() < until, f"{name} did not end: {self.api.get(path)['status']}"
            time.sleep(0.3)
        ended = Ended(code, *(_written(f"{path}:{_PORT}/proxy/{stream}") for stream in ("said", "logged")))
        kubectl("-n", PLATFORM, "delete", "pod", name, "--wait=false", "--grace-period=1")
        return ended

    def pod(self, step: Step, name: str) -> Document:
        """The pod of a step; like Argo's, its command is started by another one that keeps what it writes."""
        own, spec = step.container, step.spec
        mount = {"name": "argo", "mountPath": _KEPT}
        main = own | {
            "name": MAIN,
            "command": [
                "sh",
                "-c",
                f'"$@" >{_KEPT}/said 2>{_KEPT}/logged; exit $?',
                "--",
                *own["command"],
                *own["args"],
            ],
            "args": [],
            "volumeMounts": [*own["volumeMounts"], mount],
        }
        told = ["python", "-m", "http.server", str(_PORT), "--directory", _KEPT]
        containers = [main, _beside("wait", own["image"], told) | {"volumeMounts": [mount]}]
        if "scripts.promote" in own["command"]:
            host, _, port = self.registry.partition(":")
            command = ["python", "-c", FORWARD, host, port, *self.forwarded]
            containers.append(_beside("registry", own["image"], command))
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": PLATFORM, **spec["podMetadata"]},
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": step.account,
                "automountServiceAccountToken": spec["automountServiceAccountToken"],
                "securityContext": spec["securityContext"],
                "volumes": [*spec["volumes"], {"name": "argo", "emptyDir": {}}],
                "containers": containers,
            },
        }


def _beside(name: str, image: str, command: list[str]) -> Document:
    return {"name": name, "image": image, "command": command, "securityContext": RESTRICTED}


def _written(path: str) -> str:
    """What a container beside the step tells of it; it may still be starting."""
    for _ in range(100):
        text, error = kubectl("get", "--raw", path, may_fail=True)
        if not error:
            return text
        time.sleep(0.2)
    raise AssertionError(error)


def _ended(pod: Document) -> int | None:
    """Exit code of the main container, once it has one."""
    found: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    codes = [
        each["state"]["terminated"]["exitCode"]
        for each in found
        if each["name"] == MAIN and "terminated" in each["state"]
    ]
    return int(codes[0]) if codes else None


@contextmanager
def forwarded(host: str, to: str) -> Iterator[str]:
    """A free port of `host`, from which everything comes to another address while the context lasts."""
    command = [sys.executable, "-c", FORWARD, host, "0", *to.split(":")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
