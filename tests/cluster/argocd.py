"""Argo CD as the story uses it: its settings for as long as it lasts, and its two applications."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.policies.api_server import kubectl

NAMESPACE = "argocd"
APPLICATIONS = ("purchase-prediction-staging", "purchase-prediction-production")
ROOT = "purchase-prediction"

_IMPERSONATION = "application.sync.impersonation.enabled"
_SECRET = "webhook.gogs.secret"  # Argo CD reads Gitea's webhooks by the rules of Gogs


@contextmanager
def configured() -> Iterator[str]:
    """Syncs act as their own service accounts, and webhooks need the secret that is handed out here."""
    secret = secrets.token_hex(16)
    encoded = base64.b64encode(secret.encode()).decode()
    _merge("configmap/argocd-cm", {"data": {_IMPERSONATION: "true"}})
    _merge("secret/argocd-secret", {"data": {_SECRET: encoded}})
    try:
        yield secret
    finally:
        _merge("configmap/argocd-cm", {"data": {_IMPERSONATION: None}})
        _merge("secret/argocd-secret", {"data": {_SECRET: None}})


def install(folder: Path, application: str) -> None:
    """An environment's project and application from a clone of the repository."""
    for kind in ("projects", "applications"):
        kubectl("apply", "-f", str(folder / "argo" / kind / f"{application}.yaml"))


def remove(*names: str) -> None:
    """Take applications and their projects away, the root's first, and leave what they installed."""
    for name in names:
        if not kubectl("-n", NAMESPACE, "get", "application", name, may_fail=True)[1]:
            _merge(f"application/{name}", {"metadata": {"finalizers": None}})
        for kind in ("application", "appproject"):
            kubectl("-n", NAMESPACE, "delete", kind, name, "--ignore-not-found")


def refresh(application: str) -> None:
    """What polling does every few minutes: look at the repository."""
    annotation = {"argocd.argoproj.io/refresh": "normal"}
    _merge(f"application/{application}", {"metadata": {"annotations": annotation}})


def _merge(what: str, patch: object) -> None:
    kubectl("-n", NAMESPACE, "patch", what, "--type=merge", "-p", json.dumps(patch))
