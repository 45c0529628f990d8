"""A controller promotes a model that lies in MLflow's REST interface, by a pull request that they cannot approve."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.console.settings import ConsoleSettings
from ml.bundle import unpack
from ml.model_store import ModelStore
from scripts.check.not_as_promised import NotAsPromised
from scripts.check.people import check_people
from scripts.evidence.rules import rules_of
from scripts.forges.forge import PullRequest
from scripts.forges.local import LocalForge
from scripts.history.repository import TRUNK, temporary_copy
from tests.apps.console.outage import answers
from tests.apps.console.repository import Forge
from tests.apps.console.signed_in import PEOPLE, form_token, signed_in, users_file
from tests.apps.console.test_console import NOWHERE, PATIENT_SECONDS
from tests.apps.forecast.store import VERSION, Shop
from tests.scripts.world import APPROVED, EARNED, RELEASE

BETTER = {"answer": "better", "against": "naive", "ratio": 0.9, "lower": 0.85, "upper": 0.95, "reasons": []}
WORSE = BETTER | {"answer": "worse", "ratio": 1.2, "lower": 1.1, "upper": 1.3}


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    """Nothing was released yet, and what will be needs somebody else's approval."""
    forge = Forge(tmp_path / "forge.git")
    forge.commit(
        "local: nothing yet", {"release.yaml": RELEASE.decode(), "promotion.yaml": APPROVED.decode()}
    )
    return forge


def registry(shop: Shop, verdict: Any) -> dict[str, Any]:
    """What MLflow answers of one version, the challenger."""
    manifest = unpack(ModelStore(shop.root).get_bundle(shop.model_sha256), shop.model_sha256).manifest
    tags = {"model_sha256": shop.model_sha256}
    tags |= {"data_version": manifest.data_version, "candidate": manifest.candidate}
    version = {
        "name": "demand",
        "version": str(VERSION),
        "run_id": "r3",
        "creation_timestamp": 1_767_600_000_000,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    return {
        "/api/2.0/mlflow/registered-models/alias": {"model_version": version},
        "/api/2.0/mlflow/model-versions/get": {"model_version": version},
        "verdict.json": verdict,
        "benchmark.json": [{"candidate": name, "wape": 0.5} for name in (manifest.candidate, "naive")],
        "money.json": EARNED,
    }


@pytest.fixture
def verdict() -> Any:
    return BETTER


@pytest.fixture
def settings(forge: Forge, shop: Shop, verdict: Any) -> Iterator[ConsoleSettings]:
    nowhere = {f"{name}_url": NOWHERE for name in ("collector", "forecast", "decision", "oncall")}
    with answers(registry(shop, verdict)) as port:
        yield ConsoleSettings.model_validate(
            {
                **nowhere,
                "repository": forge.path,
                "forge": str(forge.path),
                "model_store": str(shop.root),
                "model_registry": f"http://127.0.0.1:{port}",
                "users_file": users_file(forge.path.parent),
                "page_seconds": PATIENT_SECONDS,
            }
        )


def promoted(settings: ConsoleSettings) -> tuple[int, str]:
    """The status and the text or the address of what the form is answered with."""
    with signed_in(settings, "controller") as client:
        token = form_token(client.get("/releases/promote").text)
        given = {"form": token, "model": "challenger", "image_tag": "9c0d7e2"}
        answer = client.post("/releases/promote", data=given)
    notice = answer.text.partition('role="alert"')[2].partition("</p>")[0]
    return answer.status_code, answer.headers.get("location", notice)


def approve(forge: Forge, request: PullRequest, account: str) -> None:
    """Raises where the approval is none that counts."""
    LocalForge(forge.path, account).approve(request.number, request.head)
    approved = LocalForge(forge.path, "anybody").get(request.number)
    with temporary_copy(str(forge.path)) as repository:
        commit, rules = repository.commit(request.head), rules_of(repository, "local", TRUNK)
        check_people(approved, commit, None, rules, approved=True)


def test_a_model_of_the_registry_is_promoted_and_its_asker_cannot_approve(
    settings: ConsoleSettings, forge: Forge, shop: Shop
) -> None:
    assert promoted(settings) == (303, "/releases?proposed=1")
    (request,) = LocalForge(forge.path, "anybody").pull_requests("")
    assert (request.state, shop.model_sha256 in request.body) == ("open", True)
    with pytest.raises(NotAsPromised, match="asked for and approved by"):
        approve(forge, request, PEOPLE["controller"])


def test_somebody_else_can_approve_it(settings: ConsoleSettings, forge: Forge) -> None:
    """The control of the refusal above."""
    promoted(settings)
    (request,) = LocalForge(forge.path, "anybody").pull_requests("")
    approve(forge, request, "grace")


@pytest.mark.parametrize("verdict", [WORSE, None, "nothing that can be read"])
def test_a_model_whose_papers_do_not_speak_for_it_is_not_proposed(
    settings: ConsoleSettings, forge: Forge
) -> None:
    status, text = promoted(settings)
    assert (status, "No pull request was opened." in text) == (409, True)
    assert LocalForge(forge.path, "anybody").pull_requests("") == []
