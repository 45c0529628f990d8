"""Workflows on a real Kubernetes: every step's exact command in its image, with its rights, in the order of its DAG."""

import json

import pytest

from scripts.promotion.pull_request import evidence_in
from scripts.running.step import BROKEN, NO, YES
from tests.cluster.progress import tell
from tests.cluster.repository import NAME, OWNER, PROMOTER
from tests.workflows.argo import Outcome
from tests.workflows.platform import Platform
from tests.workflows.served_pods import served

pytestmark = pytest.mark.cluster


def answers(outcome: Outcome) -> dict[str, list[object]]:
    """What each step said; a step that ended without one JSON object fails the test."""
    said: dict[str, list[object]] = {}
    for name, ended in outcome.attempts:
        assert ended.code in {YES, NO}, (name, ended)
        said.setdefault(name, []).append(json.loads(ended.said))
    return said


def aliases(models: str) -> dict[int, list[str]]:
    """Of each version, by what `ml models` said."""
    return {each["version"]: sorted(each["aliases"]) for each in json.loads(models)["versions"]}


def pull_requests(platform: Platform) -> list[dict[str, object]]:
    found: list[dict[str, object]] = platform.repository.api(
        PROMOTER, "GET", f"/repos/{OWNER}/{NAME}/pulls?state=all"
    )
    return [each for each in found if str(each["title"]).startswith("staging: ")]


def test_from_drift_to_an_open_pull_request_with_its_evidence_and_no_hand(platform: Platform) -> None:
    platform.by_hand("mv /lake/later/* /lake/inbound && echo {}")
    before = len(platform.submitted())
    judged = platform.cron("drift")
    said = answers(judged)
    assert (judged.phase, judged.codes("judge")) == ("Succeeded", [NO])
    assert said["judge"][0]["answer"] == "drift"  # type: ignore[index]
    assert "live_requests" in said["judge"][0]  # type: ignore[operator]
    (made,) = platform.submitted()[before:]
    tell(f"{made['metadata']['name']} was started")
    assert platform.cron("drift").phase == "Succeeded"
    assert len(platform.submitted()) == before + 1, "one episode is answered once"

    retrained = platform.run(platform.spec(made))
    said = answers(retrained)
    assert retrained.phase == "Succeeded"
    opened = json.loads(retrained.said("open"))
    (pull,) = pull_requests(platform)
    assert (opened["action"], opened["pull_request"], pull["state"]) == ("opened", pull["number"], "open")
    evidence = evidence_in(str(pull["body"]))
    assert evidence.release.model_sha256 == json.loads(retrained.said("train"))["sha256"]
    assert all(gate.passed for gate in evidence.gates)


@pytest.mark.soak
def test_the_same_run_again_changes_nothing(platform: Platform) -> None:
    pulls, models = pull_requests(platform), platform.by_hand("python -m ml models")
    again = platform.run(platform.spec(platform.submitted()[-1]))
    assert json.loads(again.said("open"))["action"] == "found"
    assert pull_requests(platform) == pulls
    assert platform.by_hand("python -m ml models") == models


def test_a_backfill_in_shares_leaves_the_panel_that_was_there(platform: Platform) -> None:
    version = json.loads(platform.by_hand("rm -r /lake/lake/.panel; python -m ml panel"))["data_version"]
    platform.by_hand("rm -r /lake/lake/.panel && echo {}")
    spec = platform.spec({"spec": {"workflowTemplateRef": {"name": "retrain"}, "entrypoint": "backfill"}})
    done = platform.run(spec)
    assert done.phase == "Succeeded"
    assert json.loads(done.said("merge"))["data_version"] == version


def test_a_pod_that_is_killed_is_tried_again(platform: Platform) -> None:
    spec = platform.spec({"spec": {"workflowTemplateRef": {"name": "retrain"}, "entrypoint": "prepare"}})
    own = next(each for each in spec["templates"] if each["name"] == "migrate")
    own["container"] |= {
        "command": ["python", "-c"],
        "args": ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"],
    }
    assert platform.run(spec).codes("migrate") == [137] * 3


def test_a_step_that_ends_with_1_and_says_nothing_is_tried_again(platform: Platform) -> None:
    """A module that is not there: Python itself ends with 1."""
    spec = platform.spec({"spec": {"workflowTemplateRef": {"name": "retrain"}, "entrypoint": "prepare"}})
    own = next(each for each in spec["templates"] if each["name"] == "migrate")
    own["container"] |= {"command": [*own["container"]["command"][:3], "ml.module_of_nobody"]}
    ended = platform.run(spec)
    assert ended.codes("migrate") == [BROKEN] * 3
    assert ended.said("migrate") == ""


def test_what_runs_is_confirmed_and_the_alias_is_set_right(platform: Platform) -> None:
    """`truth` whole, on pods that serve what Git says; the alias was moved by hand."""
    moved = platform.by_hand("python -m ml models --champion 2")
    assert aliases(moved) == {1: [], 2: ["challenger", "champion"]}
    with served(platform.repository.folder):
        asked = platform.cron("truth")
    answers(asked)
    said = {name: asked.codes(name) for name in asked.tasks}
    assert said == {"confirm-staging": [YES], "confirm-production": [YES], "audit-production": [NO]}
    assert aliases(platform.by_hand("python -m ml models")) == {1: ["champion"], 2: ["challenger"]}


@pytest.mark.soak
def test_the_truth_is_a_no_where_nothing_is_deployed(platform: Platform) -> None:
    """`confirm` waits five minutes for pods before it says so."""
    asked = platform.cron("truth")
    assert asked.phase == "Failed"
    assert {name: asked.codes(name)[-1] for name in asked.tasks} == {
        "confirm-staging": NO,
        "confirm-production": NO,
        "audit-production": NO,
    }
    assert {"reason", "error"} <= set(json.loads(asked.said("confirm-staging")))
