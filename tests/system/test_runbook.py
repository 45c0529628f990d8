"""The commands of the runbook, run: against a forge with two environments, on a small shop, and on a backup of it."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ml.__main__ import main as ml
from scripts import promote_verbs
from scripts.backup.__main__ import main as backup
from scripts.outside import Outside
from scripts.promote import main as promote
from scripts.promotion.bridge import Bridge
from tests.observability.runbook import PLACEHOLDERS, filled
from tests.scripts.test_confirm import FakeCluster
from tests.scripts.world import FROM_STAGING, IMAGES, World, release_diff
from tests.system.runbook_story import LEARNING, PROMOTIONS, RESTORING

pytestmark = pytest.mark.system


def arguments(command: str, **places: str) -> list[str]:
    """What comes after `python -m module`."""
    return shlex.split(filled(command, PLACEHOLDERS | places))[3:]


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_promotions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the commands a person merges, on the forge's page, and time passes."""
    monkeypatch.setenv("PROMOTE_PROMETHEUS", "http://prometheus")
    monkeypatch.setattr(promote_verbs, "Bridge", partial(Bridge, render=release_diff))
    rules = {
        "staging": IMAGES,
        "production": FROM_STAGING.replace(b"needs_approval: true", b"needs_approval: false"),
    }
    world = World(tmp_path / "world", ("staging", "production"), rules=rules)
    world.promote(1, environment="staging")
    world.soak()
    outside = Outside(
        models=lambda: world.models,
        images=lambda: world.images,
        metrics=lambda _: world.metrics,
        cluster=FakeCluster,
        clock=world.tick,
    )

    def release_to_both() -> None:
        world.merge(environment="staging")
        world.soak()
        world.open(None, None, "production")
        world.merge(environment="production")

    merged = {
        "check --environment production": lambda: world.merge(environment="production"),
        "confirm --environment production": lambda: world.registry.set_alias("champion", 1),
        "aliases --environment production": lambda: world.train(2),
        "check --environment staging": release_to_both,
        "open --to staging --image-tag IMAGE_TAG": release_to_both,
    }
    answers = dict[str, Any]()
    for command, code in PROMOTIONS.items():
        verb, *rest = arguments(command, IMAGE_TAG="def5678")
        where = ["--repository", str(world.forge.directory), "--requested-by", "ada"]
        quick = ["--timeout", "5", "--quiet", "0"] if verb == "confirm" else []
        found = promote([verb, *where, *rest, *quick], outside)
        short = command.partition("scripts.promote ")[2]
        answers[short] = told(capsys)
        assert found == code, (command, answers[short])
        assert code == 0 or answers[short]["reason"] == "not_one_place"
        merged.get(short, lambda: None)()
    assert answers["open --to production"]["action"] == "opened"
    assert answers["open --to staging --model challenger"]["release"]["model_version"] == 2
    assert answers["open --to staging --image-tag IMAGE_TAG"]["release"]["image_tag"] == "def5678"
    back = answers['rollback --environment production --reason "p95 doubled"']
    assert (back["action"], back["replaces"]["image_tag"], back["release"]["image_tag"]) == (
        "opened",
        "def5678",
        "abc1234",
    )


def test_learning_and_restoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shop whose events end yesterday, taken in by file; a backup of it comes back in an empty place."""
    monkeypatch.setenv("ML_STATE", str(tmp_path / "state"))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    events = str(tmp_path / "events")
    shop = ["--products", "12", "--months", "14", "--end", yesterday.isoformat()]
    for prelude in (["synthesize", "--out", events, *shop], ["ingest", "--events", events]):
        assert ml(["--log-level", "error", *prelude]) == 0, told(capsys)
    capsys.readouterr()
    for command, code in LEARNING.items():
        found, answer = ml(["--log-level", "error", *arguments(command)]), told(capsys)
        no = int(not answer.get("promotable", True))  # `train` of so small a shop: that is no fault
        assert found == (code or no), (command, answer)
    (version,) = answer["versions"]
    place = str(tmp_path / "backups")
    assert backup(["make", "--to", place]) == 0
    made = told(capsys)
    monkeypatch.setenv("ML_STATE", str(tmp_path / "empty"))
    for command, code in RESTORING.items():
        assert backup(arguments(command, PLACE=place)) == code, command
        answer = told(capsys)
    assert answer == made
    assert ml(["models"]) == 0
    assert told(capsys)["versions"] == [version]
