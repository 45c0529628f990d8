"""The drift workflow to its end: a verdict that is kept and acted on, and a picture beside it that may fail."""

import json
from pathlib import Path
from typing import Any

import pytest

from ml.lake import Lake
from ml.model_store import DRAWN, ModelStore
from ml.models import CANDIDATES
from ml.panel import load_history
from ml.registry import Registry
from ml.settings import MlSettings
from ml.training import train
from scripts.release_file import Release
from scripts.running.step import NO
from tests.environments.test_workflows import dags
from tests.workflows.local_cluster import local_cluster
from tests.workflows.local_steps import Place, Step
from tests.workflows.test_killed_steps import events, later

JUDGE: Step = ("judge", "1")
BROKEN_EVIDENTLY = "raise ImportError('half of a wheel')"
KILLED_EVIDENTLY = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
"""What the kernel does where memory ends."""


def judged(place: Place) -> dict[str, Any]:
    """What the step says when it is run now."""
    said: dict[str, Any] = json.loads(place.said(JUDGE, NO))
    return said


def kept(place: Place) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Verdicts of the lake, and the newest of the model store without when it was written."""
    rows = Lake(MlSettings(state=place.state).lake).read("drift").collect().to_dicts()
    newest = json.loads((place.state / "models/reports/drift.json").read_text())
    del newest["created_at"]
    return rows, newest


def champion(place: Place) -> None:
    """A model of the panel; without the choice between all candidates, which takes a minute."""
    settings = MlSettings(state=place.state)
    registry, history = Registry(settings), load_history(Lake(settings.lake))
    made = train(
        history,
        registry,
        ModelStore.of(settings),
        seed=7,
        candidates={name: CANDIDATES[name] for name in ("naive", "ses")},
        forced="ses",
    )
    registry.set_alias("champion", made.version)


def evidently(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A module of this name that every step's processes find first."""
    package = folder / "first"
    package.mkdir(exist_ok=True)
    (package / "evidently.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.mark.system
def test_a_verdict_is_kept_and_acted_on_whatever_becomes_of_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.state.mkdir(parents=True)
    events(tmp_path, products=40)
    for step in (("migrate", "1"), ("ingest", "1"), ("panel", "1")):
        place.run(step)
    champion(place)
    later(place)
    picture = place.state / "models/reports/drift.html"
    release = Release(image_tag="abc1234", model_version=1, model_sha256="0" * 64)
    evidently(tmp_path, monkeypatch, BROKEN_EVIDENTLY)
    with local_cluster(release, place.workflows) as kubeconfig:
        place.kubeconfig.write_text(json.dumps(kubeconfig))
        for name in dags()["drift"]:
            if name != "judge":
                place.run((name, "1"))
                continue
            without = judged(place)
    assert (without["answer"], without["retrain"]) == ("drift", True)
    assert "half of a wheel" in without["picture"]
    assert not picture.exists()
    assert [path.name for path in place.workflows.glob("*")] == ["retrain-drift-2026-10"]
    rows, newest = kept(place)
    assert (len(rows), rows[0]["answer"], newest["picture"]) == (1, "drift", without["picture"])

    monkeypatch.delenv("PYTHONPATH")
    drawn = judged(place)
    assert drawn == without | {"picture": DRAWN}
    data = picture.read_bytes()
    assert b"<html" in data.lower()
    assert b"price_cents" in data
    assert kept(place) == (rows, newest | {"picture": DRAWN})

    evidently(tmp_path, monkeypatch, KILLED_EVIDENTLY)
    killed = judged(place)
    assert killed == without | {"picture": killed["picture"]}
    assert "-9" in killed["picture"]
    assert kept(place) == (rows, newest | {"picture": killed["picture"]})
    assert picture.read_bytes() == data
