"""The step `judge` keeps Evidently's picture beside its verdict, and the verdict does not wait for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml.model_store import DRIFT, ModelStore
from scripts.running.step import NO, YES
from tests.apps.console.repository import promoted
from tests.apps.console.signed_in import signed_in
from tests.apps.console.test_console import page, settings
from tests.apps.forecast.store import Shop
from tests.apps.process import listener, running
from tests.ml.small_history import small_shop
from tests.repository.imports import ROOT
from tests.workflows.local_steps import Place
from tests.workflows.test_killed_steps import events

pytestmark = pytest.mark.system


def test_what_the_workflow_draws_is_on_the_page_and_a_broken_evidently_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.state.mkdir(parents=True)
    events(tmp_path, products=12)
    for name in ("migrate", "ingest", "panel"):
        place.run((name, "1"))
    trained = _by_hand(place, "train --candidate ses")
    _by_hand(place, "models --champion 1")
    _by_hand(place, "forecast --model champion")
    store = ModelStore(place.state / "models")

    place.run(("judge", "1"), YES, NO)
    verdict = json.loads(store.report(DRIFT) or b"")
    assert verdict["picture"] == "drawn"
    shop = Shop(place.state / "models", small_shop(), trained["sha256"])
    variables = shop.variables() | {"FORECAST_MODEL_VERSION": "1"}
    forge = promoted(tmp_path / "repository.git")
    with (
        listener() as bound,
        running("apps.forecast", variables, bound) as process,
        signed_in(settings(forge.path, forecast_url=process.url, model_store=str(shop.root))) as client,
    ):
        assert "/drift/evidently.html" in page(client, "/drift").links
        picture = client.get("/drift/evidently.html")
    assert picture.status_code == 200
    assert "price_cents" in picture.text

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "evidently.py").write_text("raise ImportError('no Evidently here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    place.run(("judge", "1"), YES, NO)
    without = json.loads(store.report(DRIFT) or b"")
    assert "no Evidently here" in without["picture"]
    same = {"picture": "", "created_at": ""}
    assert without | same == verdict | same


def _by_hand(place: Place, verb: str) -> Any:
    command = [sys.executable, "-m", "ml", *verb.split()]
    done = subprocess.run(command, cwd=ROOT, env=place.variables, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)
