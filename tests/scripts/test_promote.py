"""The command line: one JSON object on stdout, and an exit code that a workflow can act on."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apps.forecast.figures import DeliveryReport
from ml.errors import StoreUnavailable
from ml.model_store import DELIVERY
from scripts import promote_verbs
from scripts.evidence.candidate import Models
from scripts.history import repository
from scripts.history.git import Git, GitFailed
from scripts.outside import Outside
from scripts.promote import main
from tests.scripts.free_port import free_port
from tests.scripts.test_check import forge, more_files
from tests.scripts.test_confirm import FakeCluster
from tests.scripts.world import World

ROOT = Path(__file__).parents[2]


def outside_of(world: World) -> Outside:
    return Outside(
        models=lambda: world.models,
        images=lambda: world.images,
        metrics=lambda _: world.metrics,
        cluster=FakeCluster,
        keep_delivery=partial(world.store.put_report, DELIVERY),
    )


class Command:
    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world, self._capsys = world, capsys

    def __call__(
        self, verb: str, *arguments: str, environment: str | None = "local"
    ) -> tuple[int, dict[str, Any]]:
        where = ["--repository", str(self.world.forge.directory), "--requested-by", "ada"]
        where += ["--environment", environment] if environment else []
        code = main([verb, *where, *arguments], outside_of(self.world))
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
    assert (code, refused["reason"]) == (1, "gate_better_than_champion")
    assert "--waive better_than_champion" in refused["error"]
    for missing in (
        ["--waive", "better_than_champion"],
        ["--waive", "better_than_champion", "--by", "cy"],
        ["--waive", "better_than_champion", "--reason", "x"],
    ):
        assert command(*wish, *missing)[1]["reason"] == "bad_waiver"
    code, opened = command(*wish, "--waive", "better_than_champion", "--reason", "a holiday", "--by", "cy")
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
    code = main([verb, "--repository", str(world.forge.directory), *rest], outside_of(world))
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
    assert main(where, Outside(models=unavailable)) == 70
    assert json.loads(capsys.readouterr().out) == {"error": "the registry is down", "reason": "unavailable"}

    def broken(*_: object, **__: object) -> bytes:
        raise GitFailed(["fetch"], "disk full")

    monkeypatch.setattr(Git, "run", broken)
    code, answer = command("plan", environment=None)
    assert (code, answer) == (70, {"error": "GitFailed: git fetch failed: disk full", "reason": "broke"})


def test_a_check_says_what_a_pull_request_is_and_a_forged_one_is_a_no(command: Command) -> None:
    command.world.train(1)
    command("open", "--model", "1", "--image-tag", "abc1234")
    head = command.world.forge.get(1).head
    code, told = command("check")
    assert code == 0
    assert (told["pull_request"], told["head"], told["kind"]) == (1, head, "promote")
    assert (told["alters"], told["awaits"]) == ([], None)  # its overlay has no manifests
    assert command("check", "1", "--head", head, environment=None)[0] == 0
    assert command("check", "--head", head, environment=None)[1]["pull_request"] == 1
    code, refused = command("check", "1", "--head", "0" * 40)
    assert (code, refused["reason"]) == (1, "head_moved")
    forge(command.world, command.world.forge.get(1), more_files)
    code, refused = command("check", "1")
    assert (code, refused["reason"]) == (1, "check_failed")
    assert command("check", environment=None)[1]["reason"] == "which"


def test_confirming_needs_a_release_and_its_manifests(command: Command) -> None:
    code, refused = command("confirm", "--timeout", "0", "--quiet", "0")
    assert (code, refused["reason"]) == (1, "no_model")


def test_an_alias_that_was_moved_by_hand_is_a_no_until_it_is_set_right(command: Command) -> None:
    for version in (1, 2, 3):
        command.world.promote(version) if version < 3 else command.world.train(version)
    command.world.registry.set_alias("champion", 3)
    code, told = command("aliases")
    assert (code, told["state"], told["names"], told["should_name"]) == (1, "moved", 3, 2)
    assert command("aliases", "--fix") == (0, {**told, "fixed": True})
    assert command("aliases")[0] == 0


def test_a_plan_without_the_registry_says_so_and_still_answers(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["plan", "--repository", str(world.forge.directory)]
    assert main(where, Outside(models=unavailable)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["registry_missing"] == "the registry is down"
    assert told["environments"]["local"]["could_move"] is None


def test_an_approval_by_the_tool_is_for_the_local_forge_only(
    monkeypatch: pytest.MonkeyPatch, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.train(1)
    world.open()
    elsewhere = type("Elsewhere", (), {"__getattr__": lambda _, name: getattr(world.forge, name)})()
    monkeypatch.setattr(promote_verbs, "forge_at", lambda *_, **__: elsewhere)
    assert main(["merge", "1", "--to", "local", "--approve-as", "bo"], outside_of(world)) == 1
    assert "approve on the forge's own page" in json.loads(capsys.readouterr().out)["error"]


def test_figures_that_are_kept_are_what_the_forecast_service_reads(
    two_live: World, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(two_live, capsys)
    week = ["metrics", "--days", "7", "--until", (two_live.now + timedelta(days=1)).isoformat()]
    code, told = command(*week, environment=None)
    assert code == 0
    assert two_live.store.report(DELIVERY) is None
    assert command(*week, "--keep", environment=None)[0] == 0
    kept = two_live.store.report(DELIVERY)
    assert kept is not None
    report = DeliveryReport.model_validate_json(kept)
    figures = told["environments"]["local"]["all"]
    assert figures["deployments"] == 2
    assert report.environments["local"].all.deployments_per_week == figures["deployments_per_week"]
    assert datetime.fromisoformat(told["until"]) - datetime.fromisoformat(told["since"]) == timedelta(days=7)


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    for verb in (
        "plan",
        "history",
        "open",
        "check",
        "merge",
        "rollback",
        "confirm",
        "aliases",
        "audit",
        "metrics",
    ):
        assert f"    {verb} " in shown
    assert "promote open --to production " in shown
    assert "Exit code 0 is yes, 1 a no" in shown


def test_a_token_is_read_from_the_environment_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROMOTE_TOKEN", "hunter2hunter2")
    address = f"http://127.0.0.1:{free_port()}/shop/releases"
    where = ["plan", "--git-only", "--repository", address, "--forge", "gitea"]
    monkeypatch.setattr(repository, "_READ_TRIES", 1)
    assert main(where) == 70
    shown = capsys.readouterr()
    assert address in shown.out
    assert "hunter2" not in shown.out + shown.err


def test_it_runs_as_a_module(world: World, tmp_path: Path) -> None:
    """Without a registry, which looking at a plan does not make."""
    state = tmp_path / "state"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.promote", "plan", "--repository", str(world.forge.directory)],
        cwd=ROOT,
        env={**os.environ, "ML_STATE": str(state)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["environments"]["local"]["release"]["image_tag"] == "unreleased"
    assert "there is no registry" in told["registry_missing"]
    assert not state.exists()
    assert done.stderr == ""
