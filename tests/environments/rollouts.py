"""Environments with the one line that makes a release progressive."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.manifests import render
from scripts.release_file import Release, edit
from tests.environments.rendered import Manifest, documents
from tests.repository.imports import ROOT

STRATEGIES = ("canary", "blue-green")
ROLLED = ("decision", "forecast")
RELEASE = Release(image_tag="9c0d7e2", model_version=12, model_sha256="5f0c" * 16)

_LINE = "  - ../components/release\n"


def with_lines(folder: Path, environment: str, *taken: str) -> Path:
    """A copy of the environments in which one takes components of `rollout`; its overlay."""
    shutil.copytree(ROOT / "environments", folder / "environments", dirs_exist_ok=True)
    overlay = folder / "environments" / environment
    file = overlay / "kustomization.yaml"
    text = file.read_text()
    assert _LINE in text
    lines = "".join(f"  - ../components/rollout/{each}\n" for each in taken)
    file.write_text(text.replace(_LINE, _LINE + lines))
    release = overlay / "release.yaml"
    release.write_bytes(edit(release.read_bytes(), RELEASE))
    return overlay


@cache
def text_of(environment: str, *taken: str, rendered: str | None = None) -> str:
    """What an environment with components and a release is built to; `rendered`: another overlay beside it."""
    with TemporaryDirectory() as folder:
        overlay = with_lines(Path(folder), environment, *taken)
        return render.build(overlay.with_name(rendered or environment))


@cache
def rolled_out(environment: str, *taken: str) -> list[Manifest]:
    """The objects of an environment with components of `rollout` and a release."""
    return documents(text_of(environment, *taken))
