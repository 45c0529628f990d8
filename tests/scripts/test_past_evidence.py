"""What an earlier promotion said can still be read when evidence has got new fields, and nothing else passes for it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.errors import Refused
from scripts.history import deployment_history
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.git import Git
from scripts.history.past_evidence import evidence_that_brought
from scripts.history.repository import TRUNK
from scripts.release_file import evidence_path_of
from tests.scripts.world import World


def rewritten(world: World, change: dict[str, object]) -> tuple[Git, DeploymentHistory]:
    """The history as if its only promotion had been written with these fields."""
    history = deployment_history.read(world.git, "local", TRUNK)
    live = history.deployments[-1]
    path = evidence_path_of("local", live.after)
    facts = json.loads(world.git.read(TRUNK, path) or b"")
    data = json.dumps({**facts, **change}).encode()
    commit = world.commit_as_person("evidence in another form", {path: data})
    told = live.commit.message.replace(
        live.commit.trailer("Evidence-Sha256") or "", hashlib.sha256(data).hexdigest()
    )
    deployment = replace(live, commit=replace(live.commit, id=commit, message=told))
    history.deployments[-1] = deployment
    world.git.run("update-ref", TRUNK, commit)
    return world.git, history


def test_evidence_of_another_release_of_this_program_is_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.promote(1)
    git, history = rewritten(world, {"format": 2, "new_slot": {"a": 1}, "images": {"forecast": "sha256:x"}})
    found = evidence_that_brought(git, history, world.live())
    assert found is not None
    assert found.images == {"forecast": "sha256:x"}


def test_evidence_that_is_not_what_its_commit_says_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.promote(1)
    git, history = rewritten(world, {"images": {}})
    live = history.deployments[-1]
    history.deployments[-1] = replace(
        live, commit=replace(live.commit, message="Evidence-Sha256: " + "0" * 64)
    )
    with pytest.raises(Refused, match="is not what its commit says"):
        evidence_that_brought(git, history, world.live())
