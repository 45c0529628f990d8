"""The rules in `policies/` and the samples beside each."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.policies.judge import ROOT, Document, review_of

POLICIES = ROOT / "policies"
REFUSED = "purchase-prediction.example/refused"


@dataclass(frozen=True)
class Sample:
    """A request and, when it must be refused, the message that says why."""

    rule: str
    name: str
    review: dict[str, Any]
    refused: str | None

    def __str__(self) -> str:
        return f"{self.rule}/{self.name}"


@dataclass(frozen=True)
class Rule:
    """A folder of `policies/`."""

    name: str
    policy: dict[str, Any]
    binding: dict[str, Any]
    allowed: tuple[Sample, ...]
    denied: tuple[Sample, ...]

    def __str__(self) -> str:
        return self.name

    @property
    def validations(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.policy["spec"]["validations"]
        return found


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, by name."""
    return tuple(_rule(file.parent) for file in sorted(POLICIES.glob("*/admission.yaml")))


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file, without empty ones."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def policies() -> list[Document]:
    """All policies and their bindings."""
    return [document for rule in rules() for document in (rule.policy, rule.binding)]


def _rule(folder: Path) -> Rule:
    policy, binding = documents(folder / "admission.yaml")
    allowed, denied = (_samples(folder / name) for name in ("allowed.yaml", "denied.yaml"))
    return Rule(folder.name, policy, binding, allowed, denied)


def _samples(path: Path) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            path.parent.name,
            document["metadata"]["name"],
            review_of(document),
            document["metadata"].get("annotations", {}).get(REFUSED),
        )
        for document in documents(path)
    )
