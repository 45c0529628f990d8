"""The harness of the cluster tests reads our workflows as Argo does, and refuses what it does not know."""

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest

from scripts.running.step import NO
from tests.environments.rendered import manifests, named, of_kind
from tests.workflows.argo import (
    LOST,
    Document,
    Ended,
    NotKnown,
    Outcome,
    Step,
    again,
    filled,
    holds,
    resolved,
    run,
)

RETRY = {
    "limit": 2,
    "retryPolicy": "Always",
    "expression": f"asInt(lastRetry.exitCode) != {NO}",
    "backoff": {"duration": "30s", "factor": 2},
}


def ours(kind: str, name: str, **changes: Any) -> Document:
    """The spec that runs, of a workflow of the platform."""
    found = manifests("platform")
    templates = {each["metadata"]["name"]: each for each in of_kind(found, "WorkflowTemplate")}
    if kind == "WorkflowTemplate":
        reference = {"spec": {"workflowTemplateRef": {"name": name}, **changes}}
        return resolved(reference, templates)
    return resolved(named(found, kind, name), templates)


def ran(spec: Document, ends: Callable[[Step], int] = lambda _: 0) -> tuple[Outcome, list[Step]]:
    seen: list[Step] = []

    def pod(step: Step) -> Ended:
        seen.append(step)
        return Ended(ends(step))

    return run(spec, pod), seen


def test_a_retrain_runs_its_steps_in_order_and_each_share_once() -> None:
    outcome, steps = ran(ours("WorkflowTemplate", "retrain"))
    names = [step.name for step in steps]
    assert names[:7] == ["migrate", "migrate-staging", "ingest", "drain", "panel", "quality", "snapshots"]
    assert set(names[7:9]) == {"fit-1", "fit-2"}
    assert names[9:] == ["train", "forecast", "open"]
    assert (outcome.phase, set(outcome.tasks.values())) == ("Succeeded", {"Succeeded"})
    (ingest,) = (step for step in steps if step.name == "ingest")
    assert ingest.container["args"] == ["ingest", "--events", "/lake/inbound"]
    assert ingest.container["image"].endswith("training:unreleased")
    assert {"ML_STATE", "ML_PSEUDONYM_KEY"} <= {each["name"] for each in ingest.container["env"]}
    shares = {step.container["args"][1] for step in steps if step.name.startswith("fit")}
    assert shares == {"--share=1/2", "--share=2/2"}


def test_parameters_of_who_submits_come_before_the_templates() -> None:
    given = {"parameters": [{"name": "image-tag", "value": "abc1234"}]}
    _, steps = ran(ours("WorkflowTemplate", "retrain", arguments=given, entrypoint="prepare"))
    assert [step.name for step in steps] == ["migrate", "migrate-staging"]
    assert all(step.container["image"].endswith("training:abc1234") for step in steps)


def test_a_no_ends_the_workflow_and_is_not_tried_again() -> None:
    outcome, steps = ran(ours("WorkflowTemplate", "retrain"), lambda step: NO * (step.name == "quality"))
    assert steps[-1].name == "quality"
    assert outcome.codes("quality") == [NO]
    assert (outcome.phase, outcome.tasks["train"]) == ("Failed", "Omitted")


@pytest.mark.parametrize("code", [1, 2, 70, 137, 143])
def test_what_broke_is_tried_three_times(code: int) -> None:
    outcome, _ = ran(ours("WorkflowTemplate", "retrain"), lambda step: code * (step.name == "panel"))
    assert outcome.codes("panel") == [code] * 3
    assert outcome.phase == "Failed"
    outcome, _ = ran(
        ours("WorkflowTemplate", "retrain"), lambda step: code * (step.name == "panel" and not step.attempt)
    )
    assert outcome.codes("panel") == [code, 0]
    assert outcome.phase == "Succeeded"


def test_one_share_that_fails_is_enough_to_stop() -> None:
    outcome, _ = ran(ours("WorkflowTemplate", "retrain"), lambda step: NO * (step.name == "fit-2"))
    assert (outcome.tasks["fit"], outcome.tasks["train"], outcome.phase) == ("Failed", "Omitted", "Failed")


def test_shares_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=5)
    spec = ours("WorkflowTemplate", "retrain")
    outcome, _ = ran(spec, lambda step: both.wait() * 0 if step.name.startswith("fit") else 0)
    assert outcome.phase == "Succeeded"


def test_drift_is_a_no_that_the_last_step_still_answers() -> None:
    outcome, steps = ran(ours("CronWorkflow", "drift"), lambda step: NO * (step.name == "judge"))
    assert steps[-1].name == "begin"
    assert steps[-1].account == "retrain"
    assert (outcome.tasks["judge"], outcome.phase) == ("Failed", "Succeeded")
    broken, steps = ran(ours("CronWorkflow", "drift"), lambda step: NO * (step.name == "panel"))
    assert (broken.tasks["begin"], broken.phase) == ("Omitted", "Failed")


def test_a_pod_that_is_deleted_is_tried_again_and_is_no_answer() -> None:
    outcome, _ = ran(ours("CronWorkflow", "drift"), lambda step: LOST * (step.name == "judge"))
    assert outcome.codes("judge") == [LOST] * 3
    assert (outcome.tasks["judge"], outcome.tasks["begin"], outcome.phase) == ("Error", "Omitted", "Error")


def test_one_no_of_the_truth_hides_no_other() -> None:
    """Its pods run one at a time, so a first "no" would else be the end."""
    spec = ours("CronWorkflow", "truth")
    outcome, steps = ran(spec, lambda _: NO)
    assert len(steps) == 3
    assert outcome.phase == "Failed"
    at("templates/truth/dag/failFast", True)(spec)
    assert len(ran(spec, lambda _: NO)[1]) == 1


def test_a_branch_that_is_left_out_ends_as_what_was_before_it() -> None:
    spec = ours("CronWorkflow", "drift")
    at("templates/drift/dag/tasks/begin/depends", "judge.Failed")(spec)
    outcome, _ = ran(spec)
    assert (outcome.tasks["begin"], outcome.phase) == ("Omitted", "Succeeded")


@pytest.mark.parametrize(
    ("depends", "phases", "expected"),
    [
        ("a", {"a": "Succeeded"}, True),
        ("a", {"a": "Failed"}, False),
        ("a", {"a": "Omitted"}, False),
        ("a && b", {"a": "Succeeded", "b": "Omitted"}, False),
        ("a.Succeeded || a.Failed", {"a": "Failed"}, True),
        ("a.Succeeded || a.Failed", {"a": "Omitted"}, False),
    ],
)
def test_depends(depends: str, phases: dict[str, Any], expected: bool) -> None:
    assert holds(depends, phases) is expected


def at(path: str, value: Any) -> Callable[[Document], None]:
    """Put a value into a spec; a part of the path is a key, a place in a list or the name of what stands there."""

    def change(spec: Document) -> None:
        place: Any = spec
        *outer, last = path.split("/")
        for part in outer:
            if isinstance(place, list) and not part.isdigit():
                place = next(each for each in place if each["name"] == part)
            else:
                place = place[int(part) if part.isdigit() else part]
        place[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        at("hooks", {}),
        at("onExit", "retrain"),
        at("templates/0/dag/tasks/0/when", "1 == 1"),
        at("templates/0/dag/tasks/1/depends", "migrate.AnySucceeded"),
        at("templates/0/dag/tasks/1/depends", "(migrate)"),
        at("templates/0/dag/target", "migrate"),
        at("templates/migrate/outputs", {}),
        at("templates/migrate/container/args", ["{{tasks.a.outputs.result}}"]),
        at("templates/migrate/retryStrategy", RETRY | {"expression": "true"}),
        at("templates/migrate/retryStrategy", RETRY | {"affinity": {}}),
        at("templates/migrate/inputs", {"parameters": [{"name": "share"}]}),
    ],
)
def test_what_is_not_known_is_refused(change: Callable[[Document], None]) -> None:
    spec = copy.deepcopy(ours("WorkflowTemplate", "retrain"))
    change(spec)
    with pytest.raises(NotKnown):
        ran(spec)


def test_a_retry_of_another_kind_and_an_unknown_text_are_refused() -> None:
    with pytest.raises(NotKnown):
        again(RETRY | {"retryPolicy": "OnError"}, 70, 0)
    with pytest.raises(NotKnown):
        filled("{{=1+1}}", {})
    with pytest.raises(KeyError):
        filled("{{workflow.parameters.none}}", {})
