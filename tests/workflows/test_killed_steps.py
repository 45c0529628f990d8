"""Every step run twice, by two at once, or killed at a random moment and run again, leaves what one run leaves."""

import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.synthetic import make_events
from scripts.forges.local import LocalForge
from scripts.history.git import Git, Identity
from scripts.release_file import Release, edit, path_of
from scripts.running.step import NO, YES
from tests.environments.test_workflows import dags
from tests.repository.imports import ROOT
from tests.workflows.local_cluster import local_cluster
from tests.workflows.local_steps import SHARES, Place, Step

ALONE = {"compact", "kept", "migrate-staging", "retain", "take"}
"""Steps of Spark and of upkeep, which removes files and is killed in tests/ml/test_upkeep.py."""

TRUTH = [("confirm-staging", "1"), ("confirm-production", "1"), ("audit-production", "1")]
SHARED = {"fit", "split", "sum-up"}
NOES = {"audit-production": (YES, NO), "judge": (YES, NO), "train": (YES, NO)}
"""Each is what the step has to say of this shop; the audit finds a release that no promotion brought."""

DEARER = 3
LATE = "kills that come too late kill nothing"


def steps(*entries: str) -> list[Step]:
    """Steps of entries in their order, one for each share, without those that are tried elsewhere."""
    names = [name for entry in entries for name in dags()[entry] if name not in ALONE]
    of = {name: range(1, int(SHARES) + 1) if name in SHARED else (1,) for name in names}
    return [(name, str(share)) for name in names for share in of[name]]


def events(folder: Path, products: int) -> None:
    """A shop whose prices are three times as high in the last full month; that month waits in `later`."""
    make_events(folder / "all", products=products, months=31)
    for name in ("events", "later"):
        (folder / name).mkdir()
    files = sorted((folder / "all").glob("*.parquet"))
    for file in files[:-2]:
        shutil.copy(file, folder / "events")
    for file in files[-2:]:
        dearer = pl.read_parquet(file).with_columns(pl.col("unit_price_cents") * DEARER)
        dearer.write_parquet(folder / "later" / file.name)


def later(place: Place) -> None:
    """The last month has come."""
    for file in (place.folder / "later").iterdir():
        file.rename(place.folder / "events" / file.name)


def tried(place: Place, step: Step, kills: int, chance: random.Random) -> int:
    """Run a step twice, by two at once, and after one kill, two in a row and so on up to `kills` in a row.

    Returns:
        How many of the kills came before its end.
    """
    place.keep("before")
    codes = NOES.get(step[0], (0,))
    seconds = place.run(step, *codes)
    once = place.digest()
    place.keep("once")
    place.run(step, *codes)
    assert place.digest() == once, f"{step}: twice is not once"
    place.bring_back("before")
    place.at_once(step, *codes)
    assert place.digest() == once, f"{step}: two at once are not one"
    hit = 0
    for in_a_row in range(1, kills + 1):
        place.bring_back("before")
        moments = [chance.random() for _ in range(in_a_row)]
        hit += sum(place.killed(step, moment * seconds) for moment in moments)
        place.run(step, *codes)
        assert place.digest() == once, f"{step}: killed at {moments} of {seconds:.1f} s"
    place.bring_back("once")
    return hit


def campaign(place: Place, chosen: Sequence[Step], kills: int, seed: int) -> int:
    chance = random.Random(seed)  # noqa: S311 - the same moments in every run
    return sum(tried(place, step, kills, chance) for step in chosen)


@pytest.mark.system
def test_steps_that_make_the_panel_are_killed_once(tmp_path: Path) -> None:
    """The bounded form of the campaign below."""
    place = Place(tmp_path)
    place.state.mkdir(parents=True)
    events(tmp_path, products=4)
    for step in steps("prepare"):
        place.run(step)
    chosen = [("ingest", "1"), ("panel", "1")]
    assert campaign(place, chosen, 1, seed=3) >= 1


@pytest.mark.soak
@pytest.mark.parametrize("entry", ["drift", "retrain", "backfill"])
def test_every_step_of_a_workflow_is_killed_at_random_moments(entry: str, tmp_path: Path) -> None:
    place = _shop(tmp_path, products=60)
    release = _first_model(place)
    later(place)
    with local_cluster(release, place.workflows) as kubeconfig:
        place.kubeconfig.write_text(json.dumps(kubeconfig))
        chosen = steps(entry)
        assert campaign(place, chosen, kills=3, seed=11) >= 3 * len(chosen), LATE
    begun = [path.name for path in place.workflows.glob("*")]
    assert begun == (["retrain-drift-2026-10"] if entry == "drift" else [])
    proposed = LocalForge(place.forge, "promoter").pull_requests("")
    assert len(proposed) == len(by_hand(place, "models")) - 1 == (entry == "retrain")


@pytest.mark.soak
def test_every_step_of_truth_is_killed_at_random_moments(tmp_path: Path) -> None:
    """What the pods run is not what the registry calls its champion."""
    place = _shop(tmp_path, products=60)
    release = _first_model(place)
    later(place)
    with local_cluster(release, place.workflows) as kubeconfig:
        place.kubeconfig.write_text(json.dumps(kubeconfig))
        for step in steps("retrain")[1:-2]:
            place.run(step, *NOES.get(step[0], (0,)))
        by_hand(place, "models --champion 2")
        assert campaign(place, TRUTH, kills=3, seed=12) >= 3 * len(TRUTH), LATE
    assert [each["aliases"] for each in by_hand(place, "models")] == [["champion"], ["challenger"]]


def _shop(folder: Path, products: int) -> Place:
    """Its events are in the lake, and its panel is made."""
    place = Place(folder)
    place.state.mkdir(parents=True)
    events(folder, products=products)
    for step in [("migrate", "1"), ("ingest", "1"), ("panel", "1")]:
        place.run(step)
    return place


def by_hand(place: Place, verb: str) -> list[dict[str, Any]]:
    """What a person does; the models after it."""
    command = [sys.executable, "-m", "ml", *verb.split()]
    done = subprocess.run(command, cwd=ROOT, env=place.variables, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout).get("versions", [])
    return found


def _first_model(place: Place) -> Release:
    """What staging and production run by what Git says."""
    for verb in ("quality --as-of newest", "train"):
        by_hand(place, verb)
    (version,) = by_hand(place, "models --champion 1")
    release = Release(image_tag="abc1234", model_version=version["version"], model_sha256=version["sha256"])
    tree = place.folder / "tree"
    shutil.copytree(ROOT / "environments", tree / "environments")
    rules = tree / "environments" / "staging" / "promotion.yaml"
    rules.write_text(
        re.sub("^(images|signatures): true", r"\1: false", rules.read_text(), flags=re.MULTILINE)
    )
    LocalForge.create(place.forge, tree, "promoter")
    _commit(place.forge, release)
    return release


def _commit(forge: Path, release: Release) -> None:
    git, anna = Git(forge), Identity("anna", "anna@example.com")
    parent = git.text("rev-parse", "refs/heads/main")
    changed = {}
    for environment in ("staging", "production"):
        path = path_of(environment)
        content = edit(git.run("cat-file", "blob", f"{parent}:{path}"), release)
        changed[path] = f"100644 {git.write_blob(content)}"
    tree = git.tree_with(parent, changed)
    head = git.commit_tree(tree, [parent], "the first model", anna, git.commit(parent).at)
    git.run("update-ref", "refs/heads/main", head)
