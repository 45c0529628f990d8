"""Manifests that are one field less safe than they were."""

import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.policies.judge import Document

Path = tuple[str | int, ...]

_TEMPLATES: dict[str, Path] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Rollout": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_LABELS: tuple[Path, ...] = tuple(
    ("metadata", "labels", name)
    for name in ("app.kubernetes.io/name", "app.kubernetes.io/part-of", "environment")
)
_OF_THE_POD: tuple[Path, ...] = (
    *_LABELS,
    ("metadata", "labels", "model-version"),
    ("metadata", "annotations", "model-sha256"),
    ("spec", "automountServiceAccountToken"),
    ("spec", "securityContext"),
    ("spec", "securityContext", "runAsNonRoot"),
    ("spec", "securityContext", "seccompProfile"),
)
_OF_A_CONTAINER: tuple[Path, ...] = (
    ("securityContext",),
    ("securityContext", "runAsNonRoot"),
    ("securityContext", "seccompProfile"),
    ("securityContext", "allowPrivilegeEscalation"),
    ("securityContext", "readOnlyRootFilesystem"),
    ("securityContext", "capabilities"),
    ("securityContext", "capabilities", "drop"),
    ("resources",),
    ("resources", "requests"),
    ("resources", "requests", "cpu"),
    ("resources", "requests", "memory"),
    ("resources", "limits"),
    ("resources", "limits", "cpu"),
    ("resources", "limits", "memory"),
    ("readinessProbe",),
    ("livenessProbe",),
)
_OPENED_IN_THE_POD: tuple[tuple[Path, Any], ...] = (
    (("metadata", "labels", "app.kubernetes.io/part-of"), "another-product"),
    (("metadata", "labels", "environment"), "elsewhere"),
    (("spec", "hostNetwork"), True),
    (("spec", "hostPID"), True),
    (("spec", "hostIPC"), True),
    (("spec", "automountServiceAccountToken"), True),
    (("spec", "securityContext", "runAsUser"), 0),
    (("spec", "securityContext", "seLinuxOptions"), {"type": "spc_t"}),
    (("spec", "securityContext", "sysctls"), [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
)
_VOLUMES: Path = ("spec", "volumes")
_VOLUMES_TO_ADD: tuple[Document, ...] = (
    {"name": "node", "hostPath": {"path": "/"}},
    {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
)
_OPENED_IN_A_CONTAINER: tuple[tuple[Path, Any], ...] = (
    (("image",), "docker.io/library/python:3.11"),
    (("securityContext", "runAsNonRoot"), False),
    (("securityContext", "runAsUser"), 0),
    (("securityContext", "seccompProfile"), {"type": "Unconfined"}),
    (("securityContext", "appArmorProfile"), {"type": "Unconfined"}),
    (("securityContext", "privileged"), True),
    (("securityContext", "allowPrivilegeEscalation"), True),
    (("securityContext", "readOnlyRootFilesystem"), False),
    (("securityContext", "seLinuxOptions"), {"type": "spc_t"}),
    (("securityContext", "procMount"), "Unmasked"),
    (("securityContext", "capabilities", "add"), ["SYS_ADMIN"]),
    (("securityContext", "capabilities", "drop"), ["NET_RAW"]),
    (("ports",), [{"containerPort": 8080, "hostPort": 8080}]),
    (("resources", "limits", "cpu"), "0"),
    (("resources", "limits", "memory"), "0"),
)


@dataclass(frozen=True)
class Mutant:
    """A manifest with one field dropped or opened; `name` says whose and which."""

    name: str
    document: dict[str, Any]


def dropped(documents: Iterable[Document]) -> Iterator[Mutant]:
    """Every workload among `documents`, once for each security field it has, without that field."""
    for document, template in _workloads(documents):
        fields = [*(template + field for field in _OF_THE_POD)]
        fields += _LABELS if template else ()
        fields += [path + field for path in _containers(document, template) for field in _OF_A_CONTAINER]
        for path in fields:
            if _holds(document, path):
                yield _mutant(document, path, None)


def opened(documents: Iterable[Document]) -> Iterator[Mutant]:
    """Every workload among `documents`, once for each way to open it up."""
    for document, template in _workloads(documents):
        ways = [(template + path, value) for path, value in _OPENED_IN_THE_POD]
        ways += [(template + _VOLUMES, [*_volumes(document, template), more]) for more in _VOLUMES_TO_ADD]
        for container in _containers(document, template):
            ways += [(container + path, value) for path, value in _OPENED_IN_A_CONTAINER]
            image = (*container, "image")
            name = re.sub(r"(:[^/@]+)?(@.*)?$", "", _at(document, image))
            ways += [(image, name), (image, f"{name}:latest"), (image, f"{name}:main")]
        for path, value in ways:
            yield _mutant(document, path, value)


def _workloads(documents: Iterable[Document]) -> Iterator[tuple[Document, Path]]:
    """Documents that make pods, each with the path of its pod template."""
    for document in documents:
        template = _TEMPLATES.get(document["kind"])
        if template is not None and _holds(document, (*template, "spec")):
            yield document, template


def _containers(document: Document, template: Path) -> list[Path]:
    """Paths of the containers that run for as long as the pod does, then of the init containers."""
    spec = _at(document, (*template, "spec"))
    return [
        (*template, "spec", kind, index)
        for kind in ("containers", "initContainers")
        for index in range(len(spec.get(kind, ())))
    ]


def _volumes(document: Document, template: Path) -> list[Document]:
    return list(_at(document, (*template, "spec")).get("volumes", ()))


def _mutant(document: Document, path: Path, value: Any) -> Mutant:
    """A copy with `value` at `path`, or without what is there when `value` is None."""
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step] if isinstance(step, int) else parent.setdefault(step, {})
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    what = ".".join(map(str, path))
    change = f"without {what}" if value is None else f"with {what}: {value}"
    return Mutant(f"{document['kind']} {document['metadata']['name']} {change}", changed)


def _holds(document: Document, path: Path) -> bool:
    try:
        _at(document, path)
    except (KeyError, IndexError):
        return False
    return True


def _at(document: Document, path: Path) -> Any:
    found: Any = document
    for step in path:
        found = found[step]
    return found
