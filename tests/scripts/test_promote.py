"""The command line: one JSON object on stdout, and an exit code that a workflow can act on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.errors import StoreUnavailable
from scripts.candidate import Models
from scripts.git import Git, GitFailed
from scripts.promote import main
from tests.scripts.world import World

ROOT = Path(__file__).parents[2]


class Command:
    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world, self._capsys = world, capsys

    def __call__(
        self, verb: str, *arguments: str, environment: str | None = "local"
    ) -> tuple[int, dict[str, Any]]:
        where = ["--repository", str(self.world.forge.directory), "--requested-by", "ada"]
        where += ["--environment", environment] if environment else []
        code = main([verb, *where, *arguments], models=lambda: self.world.models)
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return code, answer


@pytest.fixture
def command(world: World, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(world, capsys)


def test_a_promotion_a_rollback_and_what_is_held(command: Command) -> None:
    world = command.world
    for version in (1, 2):
        world.train(version)
        code, opened = command("open", "--model", "challenger", "--image-tag", "abc1234")
        assert (code, opened["action"], opened["pull_request"]) == (0, "opened", version)
        assert opened["title"] == f"local: model {version}, image abc1234"
        code, merged = command("merge", str(opened["pull_request"]))
        assert (code, merged["release"]["model_version"]) == (0, version)
        assert merged["commit"] == world.git.text("rev-parse", "main")
    code, plan = command("plan", environment=None)
    assert (code, plan["environments"]["local"]["rollback_to"]) == (0, "1-abc1234")
    code, back = command("rollback", "--reason", "too many returns")
    assert (code, back["release"]["model_version"], back["replaces"]["model_version"]) == (0, 1, 2)
    assert command("merge")[0] == 0
    code, refused = command("open", "--model", "2")
    assert (code, refused["reason"]) == (1, "held")
    assert "Un-hold: 2-abc1234" in refused["error"]
    code, log = command("history")
    assert [each["kind"] for each in log["deployments"]] == ["rollback", "promotion", "promotion", "first"]


def test_an_approval_may_come_with_the_merge(command: Command) -> None:
    command.world.train(1)
    command("open", "--model", "1", "--image-tag", "abc1234")
    code, refused = command("merge", "--approve-as", "promoter")
    assert (code, refused["reason"]) == (1, "own_approval")
    assert command("merge", "--approve-as", "bo")[0] == 0
    assert command.world.git.commit("main").trailer("Approved-by") == "bo"
    assert command("merge", "1", "--approve-as", "bo")[0] == 0


def test_a_closed_gate_is_exit_code_1_and_a_named_waiver_opens_it(command: Command) -> None:
    command.world.train(
        1, verdict={"answer": "worse", "against": "naive", "ratio": 1.2, "lower": 1.1, "upper": 1.3}
    )
    wish = ("open", "--model", "1", "--image-tag", "abc1234")
    code, refused = command(*wish)
    assert (code, refused["reason"]) == (1, "gate_gate")
    assert "--waive gate" in refused["error"]
    for missing in (
        ["--waive", "gate"],
        ["--waive", "gate", "--by", "cy"],
        ["--waive", "gate", "--reason", "x"],
    ):
        assert command(*wish, *missing)[1]["reason"] == "bad_waiver"
    code, opened = command(*wish, "--waive", "gate", "--reason", "a holiday", "--by", "cy")
    assert (code, opened["action"]) == (0, "opened")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["open", "--environment", "../x"], "bad_environment"),
        (["open"], "bad_arguments"),
        (["explode"], "bad_arguments"),
        (["merge", "x", "--environment", "local"], "bad_arguments"),
        (["history", "--environment", "moon"], "no_environment"),
        (["open", "--environment", "local", "--model", "9"], "ModelNotFound"),
        (["open", "--environment", "local", "--requested-by", "a\nModel-Version: 7"], "bad_text"),
        (["rollback", "--environment", "local", "--reason", "x\n\nUn-hold: 1-a x"], "bad_text"),
        (["plan", "--repository", "/nowhere"], "no_forge"),
    ],
)
def test_what_cannot_be_done_is_refused_with_json(
    world: World, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    verb, *rest = arguments
    code = main([verb, "--repository", str(world.forge.directory), *rest], models=lambda: world.models)
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["reason"]) == (1, reason)
    assert answer["error"]


def unavailable() -> Models:
    raise StoreUnavailable("the registry is down")


def test_what_broke_is_exit_code_70(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = [
        "open",
        "--environment",
        "local",
        "--repository",
        str(command.world.forge.directory),
        "--model",
        "1",
    ]
    assert main(where, models=unavailable) == 70
    assert json.loads(capsys.readouterr().out) == {"error": "the registry is down", "reason": "unavailable"}

    def broken(*_: object, **__: object) -> bytes:
        raise GitFailed(["fetch"], "disk full")

    monkeypatch.setattr(Git, "run", broken)
    code, answer = command("plan", environment=None)
    assert (code, answer) == (70, {"error": "GitFailed: git fetch failed: disk full", "reason": "broke"})


def test_it_runs_as_a_module(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.promote", "plan", "--repository", str(world.forge.directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["environments"]["local"]["release"]["image_tag"] == "unreleased"
    assert done.stderr == ""
