"""What the cluster tests run against, read from the environment."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parents[2]
STAGING, PRODUCTION = "purchase-prediction-staging", "purchase-prediction-production"
PLATFORM = "purchase-prediction-platform"

HERE = "127.0.0.1"
"""Node ports are asked here; kind maps them with `extraPortMappings`."""


@dataclass(frozen=True)
class Bed:
    """A Kubernetes (`KUBECONFIG`, kubectl on the PATH), its forge, its image registry and its Argo CD."""

    gitea_url: str
    tokens: dict[str, str] = field(repr=False)
    registry: str
    argocd_url: str

    @classmethod
    def from_environment(cls) -> Self:
        """The bed that the variables name; a missing one fails the test that needs it."""
        return cls(
            gitea_url=_variable("GITEA_URL"),
            tokens={
                user: _variable(f"GITEA_{user.upper()}_TOKEN") for user in ("owner", "promoter", "approver")
            },
            registry=_variable("REGISTRY"),
            argocd_url=_variable("ARGOCD_URL"),
        )


def run(
    *command: str | Path, environment: Mapping[str, str] | None = None, codes: tuple[int, ...] = (0,)
) -> str:
    """Standard output of a program that ends with one of these codes; else the test fails with all it said."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        timeout=900,
    )
    if done.returncode not in codes:
        pytest.fail(
            f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stdout} {done.stderr}"
        )
    return done.stdout


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.fail(f"{name} is not set; docs/release-on-a-cluster.md says what a cluster test needs")
    return value
