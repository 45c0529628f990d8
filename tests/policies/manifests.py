"""Manifests that keep every rule: our own of every kind, and what an environment renders to."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import yaml

from scripts import release_file
from scripts.manifests import render
from tests.policies.judge import ROOT, Document
from tests.policies.samples import documents

RELEASE = release_file.Release(image_tag="9c0d7e2", model_version=12, model_sha256="5f0c" * 16)
UNRELEASED = release_file.Release(image_tag=release_file.UNRELEASED, model_version=0, model_sha256="0" * 64)
SETS = ("complete", "staging", "production")


@cache
def manifests(name: str) -> tuple[Document, ...]:
    """The manifests of one of `SETS`; an environment's run a release."""
    if name == "complete":
        return tuple(documents(Path(__file__).parent / "complete.yaml")[0]["items"])
    return rendered(name, RELEASE)


def rendered(environment: str, release: release_file.Release) -> tuple[Document, ...]:
    """The manifests of an environment that runs `release`, rendered from a copy."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "environments", Path(folder, "environments"))
        file = Path(folder, release_file.path_of(environment))
        file.write_bytes(release_file.edit(file.read_bytes(), release))
        return tuple(document for document in yaml.safe_load_all(render.build(file.parent)) if document)
