"""Which data versions the lake has to keep: those that releases were trained on that run or may run again."""

import json
import tempfile
from pathlib import Path
from typing import Any

from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.git import Git
from scripts.history.past_evidence import evidence_that_brought
from scripts.history.repository import TRUNK, temporary_copy
from scripts.release_file import Release
from scripts.status.report import environments


def kept_data(forge: Forge) -> dict[str, Any]:
    """From Git alone, of every environment: what is live, what a rollback would restore, and what is held back.

    Returns:
        `keep`: names of data versions, sorted; `because`: by name the releases that need it; `unknown`: releases of
        which no evidence says what they were trained on.
    """
    because: dict[str, list[str]] = {}
    unknown: list[str] = []
    with temporary_copy(forge) as repository:
        for name in environments(repository, TRUNK):
            history = deployment_history.read(repository, name, TRUNK)
            for reason, release in _needed(history):
                told = f"{name}: {reason} {release.name}"
                version = _trained_on(repository, history, release)
                (unknown if version is None else because.setdefault(version, [])).append(told)
    return {"keep": sorted(because), "because": because, "unknown": unknown}


def write(answer: dict[str, Any], file: Path) -> None:
    """Put an answer where `python -m ml retain --keep-file` reads it, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as unfinished:
        json.dump(answer, unfinished)
    Path(unfinished.name).replace(file)


def _needed(history: DeploymentHistory) -> list[tuple[str, Release]]:
    undone = history.to_revert()
    found = [
        ("live", history.live.after if history.live else None),
        ("before", undone[-1].before if undone else None),
        *(("held", hold.release) for hold in history.holds),
    ]
    return [(reason, release) for reason, release in found if release is not None and release.has_model]


def _trained_on(git: Git, history: DeploymentHistory, release: Release) -> str | None:
    evidence = evidence_that_brought(git, history, release)
    return None if evidence is None else evidence.model.data_version
