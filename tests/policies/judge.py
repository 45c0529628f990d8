"""Asks the API server's own admission plug-in, built from `tools/judge`, what it says to requests."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]

ROOT = Path(__file__).parents[2]
JUDGE = ROOT / ".bin" / "judge"

STRANGER = {"username": "jane@example.com", "groups": ["system:authenticated"]}
SYNC = {
    "username": "system:serviceaccount:argocd:purchase-prediction-production-sync",
    "groups": ["system:serviceaccounts", "system:serviceaccounts:argocd", "system:authenticated"],
}
ENVIRONMENT_LABEL = "purchase-prediction.example/environment"
STAGING, PRODUCTION = "purchase-prediction-staging", "purchase-prediction-production"

_TIMEOUT_SECONDS = 120.0


def namespaces(*, labelled: bool = True) -> list[Document]:
    """Both environments' namespaces and one of another team; `labelled=False` takes their label away."""
    environments = {STAGING: "staging", PRODUCTION: "production"} if labelled else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {ENVIRONMENT_LABEL: environments[name]} if name in environments else {},
            },
        }
        for name in (STAGING, PRODUCTION, "default")
    ]


def review_of(document: Document, user: Document = STRANGER) -> dict[str, Any]:
    """The AdmissionReview of a sample or manifest: an AdmissionReview completed, anything else as its creation.

    What the request does not say follows from its object: kind, resource, name and namespace (staging when the
    object names none). `user` asks when the request names nobody.
    """
    asked: Document = document.get("request", {"operation": "CREATE", "object": document})
    target: Document = asked.get("object") or asked["oldObject"]
    group, _, version = target["apiVersion"].rpartition("/")
    kind, metadata = target["kind"], target["metadata"]
    request = {
        "uid": metadata["name"],
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": _plural(kind)},
        "name": metadata["name"],
        "userInfo": user,
        **asked,
    }
    if kind != "Namespace":
        request.setdefault("namespace", metadata.get("namespace", STAGING))
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def verdicts(installed: Iterable[Document], reviews: Iterable[Document]) -> list[dict[str, list[str]]]:
    """For each AdmissionReview the policies that refuse it, by name, with their messages; empty when it may pass.

    Args:
        installed: Policies, bindings and namespaces.
        reviews: Complete AdmissionReviews.
    """
    assert JUDGE.is_file(), "no .bin/judge; `make tools` builds it"
    done = subprocess.run(
        [str(JUDGE)],
        input="\n".join(json.dumps(document) for document in [*installed, *reviews]),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _plural(kind: str) -> str:
    """The resource of a kind, as Kubernetes forms it."""
    name = kind.lower()
    return name[:-1] + "ies" if name.endswith("y") else name + ("es" if name.endswith("s") else "s")
