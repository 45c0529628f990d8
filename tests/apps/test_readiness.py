"""Every state of the table in docs/serving.md is as it says."""

import re
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.apps.decision import states as of_decision
from tests.apps.forecast import states as of_forecast
from tests.apps.forecast.store import Shop
from tests.repository.imports import ROOT

ROW = re.compile(
    r"\| (forecast|decision) \| (.+) \| (200) \| (200|503)(?: (\w+))? \| (200|503)(?: (\w+))? \|"
)
STATES = {
    **{("forecast", name): state for name, state in of_forecast.STATES.items()},
    **{("decision", name): state for name, state in of_decision.STATES.items()},
}


def table() -> dict[tuple[str, str], tuple[str, ...]]:
    """What the page expects, by service and state: health, ready, its check, status of answers, their mark."""
    rows = ROW.findall((ROOT / "docs" / "serving.md").read_text())
    return {(service, state): tuple(expected) for service, state, *expected in rows}


@pytest.fixture
def own(shop: Shop, tmp_path: Path) -> Shop:
    """The shop with a store that a state may break."""
    shutil.copytree(shop.root, tmp_path / "store")
    return replace(shop, root=tmp_path / "store")


def test_every_row_of_the_page_is_tried_and_every_state_is_on_the_page() -> None:
    assert table().keys() == STATES.keys()


@pytest.mark.parametrize("state", STATES, ids=": ".join)
def test_a_state_is_as_the_page_says(
    state: tuple[str, str], own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, ready, failing, status, mark = table()[state]
    with ExitStack() as stack:
        asked = STATES[state](own, stack, monkeypatch)
        answers = {path: asked.get(path) for path in (f"/{state[0]}/P0004", "/ready", "/health")}
    assert answers["/health"].status_code == int(health)
    assert answers["/ready"].status_code == int(ready), answers["/ready"].text
    failed = [name for name, check in answers["/ready"].json()["checks"].items() if not check["ready"]]
    assert failing in failed if failing else failed == []
    if failing == "snapshot":
        assert failed == ["snapshot"], "the model itself is fine"
    answer = answers[f"/{state[0]}/P0004"]
    assert answer.status_code == int(status), answer.text
    assert ("retry-after" in answer.headers) == (status == "503")
    said = answer.json()
    assert {"stale": bool(said.get("stale")), "aged": "forecast_age_seconds" in said} == {
        "stale": mark == "stale",
        "aged": mark == "aged",
    }
