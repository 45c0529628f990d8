"""What the lake keeps for releases that run or may run again is read from Git's own evidence."""

import json
from pathlib import Path

import pytest

from scripts.history import deployment_history
from scripts.history.past_evidence import evidence_that_brought
from scripts.history.repository import TRUNK, temporary_copy
from scripts.status.kept_data import kept_data, write
from tests.scripts.world import World


def trained_on(world: World, version: int) -> str:
    """By the evidence of the promotion of a model, read as the audit does."""
    with temporary_copy(world.forge) as repository:
        history = deployment_history.read(repository, "local", TRUNK)
        (found,) = [each.after for each in history.deployments if each.after.model_version == version][:1]
        evidence = evidence_that_brought(repository, history, found)
    assert evidence is not None
    assert evidence.model.data_version is not None
    return evidence.model.data_version


def test_what_runs_and_what_a_rollback_restores_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert kept_data(world.forge) == {"keep": [], "because": {}, "unknown": []}
    for version in (1, 2, 3):
        world.promote(version)
    found = kept_data(world.forge)
    assert found["unknown"] == []
    assert sorted(reason for reasons in found["because"].values() for reason in reasons) == [
        "local: before 2-abc1234",
        "local: live 3-abc1234",
    ]
    assert {trained_on(world, version) for version in (2, 3)} == set(found["keep"])


def test_what_was_rolled_back_is_held_and_kept(two_live: World) -> None:
    two_live.revert_as_person(two_live.promoted[2].commit)
    reasons = [reason for reasons in kept_data(two_live.forge)["because"].values() for reason in reasons]
    assert sorted(reasons) == ["local: held 2-abc1234", "local: live 1-abc1234"]


def test_evidence_that_does_not_say_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.promote(1)
    history = deployment_history.read(world.git, "local", TRUNK)
    evidence = evidence_that_brought(world.git, history, world.live())
    assert evidence is not None
    silent = evidence.model_copy(update={"model": evidence.model.model_copy(update={"data_version": None})})
    monkeypatch.setattr("scripts.status.kept_data.evidence_that_brought", lambda *_: silent)
    assert kept_data(world.forge)["unknown"] == ["local: live 1-abc1234"]


def test_the_file_is_what_retain_reads(tmp_path: Path) -> None:
    write({"keep": ["2026-10.abc"]}, tmp_path / "keep.json")
    write({"keep": ["2026-11.abc"]}, tmp_path / "keep.json")
    assert json.loads((tmp_path / "keep.json").read_text()) == {"keep": ["2026-11.abc"]}
    assert [file.name for file in tmp_path.iterdir()] == ["keep.json"]
