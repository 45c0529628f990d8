"""What Argo CD is given, and what an administrator grants beforehand."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.environments.rendered import Manifest, documents, manifests, of_kind, text_of
from tests.repository.imports import ROOT

FOLDER = ROOT / "argo"
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if "bootstrap" not in path.relative_to(FOLDER).parts)
PREFIX = "purchase-prediction"
OURS = ("staging", "production", "platform")
WRITE = {"get", "create", "update", "patch", "delete"}


@cache
def objects() -> dict[Path, Manifest]:
    """Every object by its file, the bootstrap's left out."""
    return {path: yaml.safe_load(path.read_text()) for path in FILES}


def specs(kind: str) -> dict[str, dict[str, Any]]:
    """Specs of all projects or applications by name."""
    return {each["metadata"]["name"]: each["spec"] for each in of_kind(objects().values(), kind)}


@cache
def bootstrap() -> tuple[Manifest, ...]:
    """What `kubectl apply -k argo/bootstrap` makes."""
    return tuple(documents(text_of("argo/bootstrap")))


def rendered(application: str) -> list[Manifest]:
    """What one of our applications syncs."""
    name = application.removeprefix(f"{PREFIX}-")
    apart = {"policies": "policies", "signatures": "policies/signatures"}
    return list(documents(text_of(apart[name])) if name in apart else manifests(name))


def subjects_of(binding: Manifest) -> set[str]:
    """`namespace:account` of everyone a binding names."""
    assert {each["kind"] for each in binding["subjects"]} == {"ServiceAccount"}
    return {f"{each['namespace']}:{each['name']}" for each in binding["subjects"]}


def rights(account: str) -> dict[str, list[dict[str, Any]]]:
    """The rules that an account has, by namespace; `*` stands for everywhere."""
    found: dict[str, list[dict[str, Any]]] = {}
    for binding in of_kind(bootstrap(), "RoleBinding", "ClusterRoleBinding"):
        if account not in subjects_of(binding):
            continue
        namespace = binding["metadata"].get("namespace")
        rules = [
            rule
            for role in of_kind(bootstrap(), binding["roleRef"]["kind"])
            if role["metadata"]["name"] == binding["roleRef"]["name"]
            and role["metadata"].get("namespace") == namespace
            for rule in role["rules"]
        ]
        found.setdefault(namespace or "*", []).extend(rules)
    return found


def resource_of(kind: str) -> str:
    """The resource of a kind, as the API server writes it."""
    name = kind.lower()
    if name.endswith("s"):
        return f"{name}es"
    return name[:-1] + "ies" if name.endswith("y") else f"{name}s"
