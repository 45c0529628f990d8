"""Every sentence that can come to a page of the console, found in the source of whatever writes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.repository.imports import ROOT

HOLE = "{}"
SPEAKERS = {
    "apps/console": (
        *("alarms", "bulk", "git_history", "kept", "model_registry", "proposals", "propose", "provider"),
        *("release_centre", "release_routes", "routes", "services", "sign_in", "sign_in_routes", "sources"),
    ),
    "apps/forecast": ("loaded", "routes", "serving", "stored_past", "stored_report"),
    "apps/decision": ("forecast_client", "portfolio"),
    "apps/oncall": ("database", "dead_man", "incidents", "senders"),
    "apps/chassis": (
        *("body_limit", "errors", "guard", "health", "limits", "problems", "signing_keys", "tokens"),
    ),
    "ml": ("bundle", "errors", "folder", "gate", "guardrails", "model_store", "signatures", "snapshot"),
    "ml/data_gate": ("check", "daily", "gate", "presence", "report", "usual", "whole"),
    "ml/decisions": ("economics", "portfolio", "response", "water_filling"),
    "ml/drift": ("evidently_report", "forecast_drift", "input_drift", "occasions", "residual_drift", "verdict"),
    "scripts": ("release_file",),
    "scripts/audit": ("deployment", "environment", "evidence", "ledgers"),
    "scripts/evidence": ("candidate", "gates", "prometheus", "release_source", "rules", "soak"),
    "scripts/forges": ("answers", "by_address", "local", "rest", "transport"),
    "scripts/history": (
        *("deployment_history", "git", "merge_preview", "past_evidence", "recorded_evidence", "repository"),
    ),
    "scripts/images": ("image_registry", "image_signatures", "release_images", "signers"),
    "scripts/manifests": ("overlay", "render"),
    "scripts/promotion": (
        *("opening", "proposal", "pull_request", "rollback", "secret_shapes", "shown_diff", "taken_back"),
    ),
}
"""Modules by folder: what they refuse, find or judge is shown on a page."""

_QUIET = {
    *("Counter", "Field", "Gauge", "Histogram", "Header", "Literal", "Path", "Query", "compile"),
    *("debug", "error", "exception", "info", "warning", "execute", "run", "_git"),
}
"""Calls whose texts no page shows: logs, settings, questions to programs."""


def of_source(text: str) -> set[str]:
    """Templates of the texts of a module that have more than one word, docstrings and logs left out."""
    tree = ast.parse(text)
    passed = set(_passed_over(tree))
    return {
        template
        for node in ast.walk(tree)
        if node not in passed and (template := _template(node)) and _is_sentence(template)
    }


def of_module(path: str) -> set[str]:
    """Those of a module of the tree."""
    return of_source((ROOT / path).read_text())


def of_rules() -> set[str]:
    """Templates of the summaries of all alerts."""
    groups = yaml.safe_load((ROOT / "environments/base/observability/rules.yaml").read_text())["spec"]["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {re.sub(r"{{.*?}}", HOLE, rule["annotations"]["summary"]) for rule in rules}


def modules() -> list[str]:
    """Paths of all of `SPEAKERS`."""
    return [str(Path(folder, f"{name}.py")) for folder, names in SPEAKERS.items() for name in names]


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        pieces = [str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values]
        return re.sub(r"({}){2,}", HOLE, "".join(pieces))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"{[^{}]*}", HOLE, node.value)
    return None


def _is_sentence(template: str) -> bool:
    bare = template.replace(HOLE, "")
    return " " in template.strip() and any(letter.islower() for letter in bare)


def _passed_over(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.JoinedStr):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.FormattedValue) and node.format_spec:
            yield from ast.walk(node.format_spec)
        elif isinstance(node, ast.AnnAssign):
            yield from ast.walk(node.annotation)
        elif isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _QUIET:
                for given in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield from ast.walk(given)
