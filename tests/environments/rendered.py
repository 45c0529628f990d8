"""What the folders of manifests render to."""

import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scripts.manifests import render
from scripts.release_file import Release, edit
from tests.repository.imports import ROOT

Manifest = dict[str, Any]

ENVIRONMENTS = ("local", "staging", "production")
SERVICES = ("collector", "console", "decision", "forecast")


def documents(text: str) -> list[Manifest]:
    """The objects of a YAML stream."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


@cache
def text_of(folder: str) -> str:
    """A folder of the repository, built."""
    return render.build(ROOT / folder)


@cache
def manifests(environment: str) -> list[Manifest]:
    """The objects of `environments/<environment>`."""
    return documents(text_of(f"environments/{environment}"))


def with_release(release: Release, folder: Path, *, of: str, rendered: str | None = None) -> list[Manifest]:
    """The objects of an environment, built in a copy in which `of` has this release."""
    shutil.copytree(ROOT / "environments", folder / "environments", dirs_exist_ok=True)
    file = folder / "environments" / of / "release.yaml"
    file.write_bytes(edit(file.read_bytes(), release))
    return documents(render.build(folder / "environments" / (rendered or of)))


def of_kind(found: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Those of these kinds."""
    return [each for each in found if each["kind"] in kinds]


def named(found: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """The one object of this kind and name."""
    (one,) = [each for each in of_kind(found, kind) if each["metadata"]["name"] == name]
    return one


def group_of(manifest: Manifest) -> str:
    """The API group, empty for the core."""
    return str(manifest["apiVersion"]).rpartition("/")[0]
