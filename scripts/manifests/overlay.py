"""The folders of `environments`, and what a `kustomization.yaml` says of where pods run and images come from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from scripts.errors import Refused
from scripts.history.git import Git
from scripts.release_file import environment_name


@dataclass(frozen=True)
class Overlay:
    """An environment's overlay.

    Attributes:
        namespace: Where its pods are; None when the overlay names none.
        images: Repository by the short name of an image; the release gives the tag to all of them.
    """

    namespace: str | None
    images: Mapping[str, str]


def folders_with(git: Git, commit: str, file: str) -> list[str]:
    """Names of the folders of `environments` that hold a file at a commit."""
    pattern = re.compile(rf"environments/([a-z][a-z0-9-]*)/{re.escape(file)}")
    paths = git.text("ls-tree", "-r", "--name-only", commit, "environments/").splitlines()
    return [match[1] for path in paths if (match := pattern.fullmatch(path))]


def overlay_of(git: Git, environment: str, commit: str) -> Overlay:
    """The overlay of an environment at a commit.

    Raises:
        Refused: There is none, or it cannot be read.
    """
    path = str(PurePosixPath("environments", environment_name(environment), "kustomization.yaml"))
    try:
        document: Any = yaml.safe_load((git.read(commit, path) or b"").decode())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused("bad_overlay", f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise Refused("bad_overlay", f"{path} is missing or empty; it says where {environment} runs")
    return Overlay(document.get("namespace"), _images(document.get("images") or [], path))


def _images(entries: list[dict[str, Any]], path: str) -> dict[str, str]:
    """The images whose tag is the release's; an entry with a tag or digest of its own is no part of it."""
    own = [entry for entry in entries if not {"newTag", "digest"} & set(entry)]
    odd = [entry for entry in own if not isinstance(entry.get("name"), str) or not entry.get("newName")]
    if odd:
        raise Refused("bad_overlay", f"{path} has an image without name or newName: {odd[0]}")
    return {entry["name"]: str(entry["newName"]) for entry in own}
