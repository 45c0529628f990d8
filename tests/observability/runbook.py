"""The commands of the runbook, and whether one parses and what it names is there, without running it."""

import json
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final

from apps.collector import new_key
from ml.arguments import parser as ml_parser
from scripts.backup.__main__ import parser as backup_parser
from scripts.promote_parser import parser as promote_parser
from tests.environments.rendered import Manifest, manifests
from tests.repository.imports import ROOT

PAGE = ROOT / "docs" / "runbook.md"
PLACEHOLDERS: Final = {
    "NAMESPACE": "purchase-prediction-production",
    "SERVICE": "forecast",
    "IMAGE_TAG": "abc1234",
    "PLACE": "/backups",
    "URL": "postgresql://backup@database:5432/empty",
}
"""What a reader puts in the place of a word in capitals; other words are any text."""

PARSERS: Final[Mapping[str, Callable[[], ArgumentParser]]] = {
    "ml": ml_parser,
    "scripts.promote": promote_parser,
    "scripts.backup": backup_parser,
    "apps.collector key": partial(new_key._parser, "key"),
}
OF_CHARTS: Final = {"argocd", "argo-workflows", "monitoring"}
FLAGS: Final = {
    "annotate": {"--overwrite"},
    "create": {"--from"},
    "delete": set[str](),
    "describe": set[str](),
    "drain": {"--ignore-daemonsets", "--delete-emptydir-data"},
    "get": {"-l", "--raw"},
    "logs": {"-l", "--tail", "--previous"},
    "patch": {"--type", "--patch"},
    "port-forward": set[str](),
    "argo": set[str](),
}
"""What each verb of kubectl that is used here may be told."""

ARGO: Final = {"list": {"--prefix", "--status"}, "logs": set[str](), "submit": {"--from"}}


def blocks(text: str) -> list[str]:
    """Every command of an indented block; what is said beside one begins after three spaces."""
    lines = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    return [re.split(r" {3,}", line)[0] for line in lines]


def inline(text: str) -> list[str]:
    """Every command within a sentence; one that is only named, without its verb, is none."""
    found = re.findall(r"`((?:python -m|kubectl|argo) [^`]+)`", text)
    return [
        each for each in found if each not in {"python -m scripts.promote", "kubectl argo rollouts abort"}
    ]


def filled(command: str, places: Mapping[str, str] = PLACEHOLDERS) -> str:
    """A command with its placeholders replaced."""
    return re.sub(r"\b[A-Z][A-Z_]{2,}\b(?!=)", lambda found: places.get(found[0], found[0].lower()), command)


def check(command: str) -> None:
    """Raise unless the command parses and what it names exists."""
    words = shlex.split(filled(command).partition(" | ")[0])
    if words[:2] == ["python", "-m"]:
        _check_ours(words[2:])
    elif words[0] == "kubectl":
        _check_kubectl(words[1:])
    elif words[0] == "argo":
        _check_argo(words[1:])
    else:
        raise AssertionError(f"nobody knows what {words[0]} is")


def _check_ours(words: list[str]) -> None:
    name = " ".join(words[:2]) if words[0] == "apps.collector" else words[0]
    PARSERS[name]().parse_args(words[len(name.split()) :])


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Flags with their values, and the rest; a flag takes the next word unless it has an `=` or stands alone."""
    alone = {"--overwrite", "--previous", "--ignore-daemonsets", "--delete-emptydir-data"}
    found, rest, words = dict[str, str](), list[str](), list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            rest.append(word)
        elif "=" in word:
            name, _, found[name] = word.partition("=")
        else:
            found[word] = "" if word in alone else words.pop(0)
    return found, rest


def _check_kubectl(words: list[str]) -> None:
    flags, rest = _options(words)
    namespace, verb = flags.pop("-n", None), rest[0]
    assert set(flags) <= FLAGS[verb], (verb, flags)
    assert namespace is None or namespace in OF_CHARTS | _namespaces(), namespace
    if "-l" in flags:
        name, _, value = flags["-l"].partition("=")
        assert value in _labels(namespace or "", name), (namespace, flags["-l"])
    if "--patch" in flags:
        json.loads(flags["--patch"])
    if verb == "create":
        kind, _, name = flags["--from"].partition("/")
        _check_there(kind, name, namespace)
    if verb in {"annotate", "patch"} or (verb == "get" and len(rest) > 2):
        _check_there(rest[1], rest[2], namespace)


def _check_argo(words: list[str]) -> None:
    flags, rest = _options(words)
    assert flags.pop("-n") in _namespaces()
    assert set(flags) <= ARGO[rest[0]], flags
    if "--from" in flags:
        kind, _, name = flags["--from"].partition("/")
        _check_there(kind, name, "purchase-prediction-platform")
    if "--prefix" in flags:
        templates = {each["metadata"]["name"] for each in _all() if "Workflow" in each["kind"]}
        assert flags["--prefix"] in templates


def _check_there(kind: str, name: str, namespace: str | None) -> None:
    found = {
        (each["kind"].lower(), each["metadata"]["name"], each["metadata"].get("namespace")) for each in _all()
    }
    kind = {"hpa": "horizontalpodautoscaler"}.get(kind, kind)
    assert (kind, name, namespace) in found, (kind, name, namespace)


@cache
def _all() -> list[Manifest]:
    return [each for name in ("platform", "staging", "production") for each in manifests(name)]


@cache
def _namespaces() -> set[str]:
    return {each["metadata"]["namespace"] for each in _all() if "namespace" in each["metadata"]}


@cache
def _labels(namespace: str, name: str) -> set[Any]:
    specs = [
        each["spec"].get("jobTemplate", each).get("spec", {})
        for each in _all()
        if each["metadata"].get("namespace") == namespace and "spec" in each
    ]
    templates = [each.get("template", {}).get("metadata", {}).get("labels", {}) for each in specs]
    return {labels.get(name) for labels in templates}
