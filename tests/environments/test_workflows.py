"""Every step of a workflow is a command that exists, in the image of production's release, and bounded."""

import copy
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ml.arguments import parser as ml_parser
from ml.settings import MlSettings
from scripts.errors import Refused
from scripts.images.image_registry import PASSWORD, USER
from scripts.manifests import render
from scripts.promote_parser import parser as promote_parser
from scripts.release_file import UNRELEASED, Release
from scripts.running import step as step_module
from scripts.running.retraining import workflow_of
from tests.environments.connections import ends
from tests.environments.rendered import Manifest, documents, manifests, named, with_release
from tests.repository.imports import ROOT

PARSERS = {"ml": ml_parser, "scripts.promote": promote_parser}
OF_THE_LIBRARIES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "HOME",
    "OMP_NUM_THREADS",
}
RELEASE = Release(image_tag="0123456", model_version=12, model_sha256="5f0c" * 16)


WORKFLOWS = {"retrain": "WorkflowTemplate", "truth": "CronWorkflow"}


def spec(workflow: str, found: list[Manifest] | None = None) -> dict[str, Any]:
    """What is run under this name."""
    outer = named(found or manifests("platform"), WORKFLOWS[workflow], workflow)["spec"]
    inner: dict[str, Any] = outer.get("workflowSpec", outer)
    return inner


def merged(default: Any, own: Any) -> Any:
    """A template's value over the default's, as a strategic merge does it: named lists by name, others replaced."""
    if isinstance(default, Mapping) and isinstance(own, Mapping):
        return {
            key: merged(default[key], own[key]) if key in default and key in own else {**default, **own}[key]
            for key in {**default, **own}
        }
    if isinstance(own, list) and own and isinstance(own[0], Mapping) and "name" in own[0]:
        kept = [each for each in default if each["name"] not in {other["name"] for other in own}]
        return [*kept, *own]
    return copy.deepcopy(own)


def steps() -> dict[tuple[str, str], dict[str, Any]]:
    """The container of every step, as it runs, by workflow and step."""
    return {
        (workflow, each["name"]): merged(spec(workflow)["templateDefaults"]["container"], each["container"])
        for workflow in WORKFLOWS
        for each in spec(workflow)["templates"]
        if "container" in each
    }


STEPS = sorted(steps())

every_step = pytest.mark.parametrize("step", STEPS, ids="/".join)
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS)


def dags() -> dict[str, list[str]]:
    """The steps of each entry of `retrain`, in their order; each waits for the one before it."""
    found = {}
    for each in spec("retrain")["templates"]:
        if "dag" in each:
            tasks = each["dag"]["tasks"]
            waits = [task.get("depends") for task in tasks]
            after = [task["name"] for task in tasks[:-1]]
            assert waits == [
                None,
                *(f"{name}.Succeeded || {name}.Failed" if name == "judge" else name for name in after),
            ]
            found[each["name"]] = [task["template"] for task in tasks]
    return found


def test_a_retrain_goes_from_events_to_a_pull_request_and_drift_ends_with_a_verdict() -> None:
    assert dags() == {
        "retrain": [
            *("migrate", "migrate-staging", "ingest", "drain", "panel", "quality", "snapshots"),
            *("fit", "train", "forecast", "open"),
        ],
        "prepare": ["migrate", "migrate-staging"],
        "drift": ["migrate", "ingest", "drain", "panel", "judge", "begin"],
        "figures": ["migrate", "evaluate", "deliveries"],
        "upkeep": ["migrate", "compact", "kept", "retain"],
        "backfill": ["migrate", "split", "sum-up", "merge"],
        "panel-of-spark": ["migrate", "take"],
    }
    used = {("retrain", step) for each in dags().values() for step in each}
    assert used == {each for each in STEPS if each[0] == "retrain"}
    assert spec("retrain")["entrypoint"] == "retrain"


@pytest.mark.parametrize("entry", ["drift", "figures", "upkeep"])
def test_what_runs_by_the_clock_is_an_entry_of_the_template(entry: str) -> None:
    cron = named(manifests("platform"), "CronWorkflow", entry)["spec"]
    assert cron["workflowSpec"] == {"entrypoint": entry, "workflowTemplateRef": {"name": "retrain"}}
    assert (cron["timezone"], cron["concurrencyPolicy"]) == ("Etc/UTC", "Forbid")
    assert cron["startingDeadlineSeconds"] > 0


def test_what_retain_keeps_is_what_git_said_just_before() -> None:
    kept = promote_parser().parse_args(argv(("retrain", "kept"))[1])
    retain = ml_parser().parse_args(argv(("retrain", "retain"))[1])
    assert retain.keep_file == kept.out
    assert not retain.ignore_unknown
    assert retain.days >= 1, "a writer that the lock does not reach has files in no version yet"


def test_the_truth_is_asked_every_quarter_of_an_hour_and_one_no_hides_no_other() -> None:
    cron = named(manifests("platform"), "CronWorkflow", "truth")["spec"]
    assert cron["schedules"] == ["*/15 * * * *"]
    assert (cron["timezone"], cron["concurrencyPolicy"]) == ("Etc/UTC", "Forbid")
    assert spec("truth")["activeDeadlineSeconds"] < 15 * 60
    entry = spec("truth")["templates"][0]
    assert entry["name"] == spec("truth")["entrypoint"]
    assert entry["dag"]["failFast"] is False
    assert not [task for task in entry["dag"]["tasks"] if "depends" in task or "when" in task]
    asked = [argv(("truth", task["template"]))[1] for task in entry["dag"]["tasks"]]
    assert asked == [
        ["confirm", "--environment=staging"],
        ["confirm", "--environment=production"],
        ["audit", "--environment=production"],
    ]


def test_the_truth_is_asked_by_the_account_that_may_ask_pods_and_nothing_more() -> None:
    assert spec("truth")["serviceAccountName"] == "confirm"  # its rights: tests/argo/test_projects.py
    secrets = {
        each["valueFrom"]["secretKeyRef"]["name"]
        for name, container in steps().items()
        if name[0] == "truth"
        for each in container["env"]
        if "valueFrom" in each
    }
    assert secrets == {"forge-reader"}
    assert [each["name"] for each in spec("truth")["volumes"]] == ["tmp"]


def parameters(workflow: str, found: list[Manifest] | None = None) -> dict[str, str]:
    """Values of a workflow's parameters when nobody names others."""
    return {each["name"]: each["value"] for each in spec(workflow, found)["arguments"]["parameters"]}


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with the parameters in it, as the controller writes them; a step's own are by name in `values` too."""
    text = re.sub(r"{{(?:workflow|inputs)\.parameters\.([\w-]+)}}", lambda found: values[found[1]], text)
    assert "{{" not in text
    return text


def argv(step: tuple[str, str], **given: str) -> tuple[str, list[str]]:
    """The module and its arguments, with the workflow's parameters filled in."""
    container = steps()[step]
    assert container["command"][:3] == ["python", "-m", step_module.__name__]
    (module,) = container["command"][3:]
    values = (
        {"share": "1"}
        | parameters(step[0])
        | {name.replace("_", "-"): value for name, value in given.items()}
    )
    return module, [filled(each, values) for each in container["args"]]


@every_step
def test_a_steps_command_is_understood(step: tuple[str, str]) -> None:
    module, arguments = argv(step)
    assert PARSERS[module]().parse_args(arguments).verb == arguments[0]
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file() or (
        ROOT / module / "__main__.py"
    ).is_file()


def test_a_retrain_proposes_images_only_if_somebody_names_them() -> None:
    module, arguments = argv(("retrain", "open"))
    assert not PARSERS[module]().parse_args(arguments).image_tag  # those that staging has stay
    module, arguments = argv(("retrain", "open"), propose_images="9c0d7e2")
    assert PARSERS[module]().parse_args(arguments).image_tag == "9c0d7e2"


def test_drift_reads_where_productions_forecast_pods_count_what_they_serve(tmp_path: Path) -> None:
    forecast = named(manifests("production"), "Deployment", "forecast")["spec"]["template"]["spec"]
    given = {each["name"]: each.get("value") for each in forecast["containers"][0]["env"]}
    module, arguments = argv(("retrain", "judge"))
    assert PARSERS[module]().parse_args(arguments).served == given["FORECAST_SERVED_STORE"]
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    overlay = tmp_path / "environments" / "platform" / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("  - ../components/served\n", ""))
    without = parameters("retrain", documents(render.build(overlay.parent)))
    module, arguments = argv(("retrain", "judge"), served=without["served"])
    assert PARSERS[module]().parse_args(arguments).served is None


def test_the_documented_command_for_the_first_model_names_parameters_that_there_are() -> None:
    text = (ROOT / "docs" / "platform.md").read_text()
    (command,) = re.findall(r"argo .* submit --from workflowtemplate/retrain (-p .+)", text)
    names = re.findall(r"-p ([\w-]+)=", command)
    assert set(names) == {"image-tag", "propose-images"}
    assert set(names) <= set(parameters("retrain"))


def test_a_command_with_a_wrong_word_is_not_understood() -> None:
    module, arguments = argv(("retrain", "open"))
    with pytest.raises(Refused, match="unrecognized arguments"):
        PARSERS[module]().parse_args([*arguments, "--models"])
    with pytest.raises(SystemExit):
        ml_parser().parse_args(["panels"])


@every_step
def test_a_steps_variables_are_settings_and_secrets_are_references(step: tuple[str, str]) -> None:
    given = {each["name"]: each for each in steps()[step]["env"]}
    known = {f"ML_{name}".upper() for name in MlSettings.model_fields}
    help_text = promote_parser().format_help()
    unknown = set(given) - known - OF_THE_LIBRARIES
    assert {name for name in unknown if not re.search(rf"\b{name}\b", help_text)} == set()
    assert {"ML_STATE", "ML_TRACKING_URI"} <= set(given)
    assert ("ML_MODEL_STORE" in given) == (step[0] == "retrain")
    for name, each in given.items():
        secret = name.endswith(("TOKEN", "ACCESS_KEY", "KEY_ID", "USER", "PASSWORD", "PSEUDONYM_KEY"))
        assert ("valueFrom" in each) == secret, name


def test_what_proposes_a_release_may_look_into_an_image_registry_that_asks_who_is_there() -> None:
    """Staging's rules want every image to exist; a registry that is open needs no such Secret."""
    given = {each["name"]: each.get("valueFrom") for each in steps()["retrain", "open"]["env"]}
    for name, key in ((USER, "user"), (PASSWORD, "password")):
        assert given[name] == {"secretKeyRef": {"name": "image-registry", "key": key, "optional": True}}


def test_the_settings_take_what_the_steps_say() -> None:
    train = steps()["retrain", "train"]
    values = {each["name"]: each.get("value") for each in train["env"]}
    settings = MlSettings(
        **{name: values[f"ML_{name}".upper()] for name in ("state", "model_store", "tracking_uri")}
    )
    mounts = {each["mountPath"] for each in train["volumeMounts"]}
    assert str(settings.lake.parent) in mounts
    assert settings.model_store == "s3://models"


@every_step
def test_a_step_is_restricted_and_bounded(step: tuple[str, str]) -> None:
    container = steps()[step]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for kind in ("requests", "limits"):
        assert set(container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in spec(step[0])["volumes"]
    }


@every_workflow
def test_the_pods_of_a_workflow_are_restricted_end_and_are_found_by_their_network_policy(
    workflow: str,
) -> None:
    found = spec(workflow)
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["activeDeadlineSeconds"] > 0
    assert found["podGC"]
    assert found["ttlStrategy"]
    labels = found["podMetadata"]["labels"]
    name = "workflows" if workflow == "retrain" else workflow
    assert ends()[f"platform/{name}"].labels.items() <= labels.items()


def test_one_workflow_at_a_time_writes_the_lake() -> None:
    assert [each["name"] for each in spec("retrain")["synchronization"]["mutexes"]] == ["lake"]


@every_workflow
def test_a_steps_pod_can_report_its_result_with_a_token_that_expires(workflow: str) -> None:
    """An executor's account of its own would read a Secret that holds a token for ever and that nobody makes."""
    found, objects = spec(workflow), manifests("platform")
    assert "executor" not in found
    assert found["automountServiceAccountToken"] is True
    account = named(objects, "ServiceAccount", found["serviceAccountName"])
    assert account["automountServiceAccountToken"] is True  # Argo leaves a workflow's `true` to the account
    (rule,) = named(objects, "Role", "workflows")["rules"]
    assert rule == {
        "apiGroups": ["argoproj.io"],
        "resources": ["workflowtaskresults"],
        "verbs": ["create", "patch"],
    }
    bound = {each["name"] for each in named(objects, "RoleBinding", "workflows")["subjects"]}
    assert found["serviceAccountName"] in bound


def test_one_step_may_start_a_workflow_and_nothing_else() -> None:
    others = {each["name"]: each.get("serviceAccountName") for each in spec("retrain")["templates"]}
    assert {name for name, account in others.items() if account} == {"begin"}
    assert others["begin"] == "retrain"
    (rule,) = named(manifests("platform"), "Role", "retrain")["rules"]
    assert rule == {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}
    options = promote_parser().parse_args(argv(("retrain", "begin"))[1])
    assert options.namespace == named(manifests("platform"), "Role", "retrain")["metadata"]["namespace"]
    started = workflow_of("2026-10")["spec"]["workflowTemplateRef"]["name"]
    assert named(manifests("platform"), "WorkflowTemplate", started)["spec"]["entrypoint"] == "retrain"


@every_workflow
def test_what_broke_is_tried_again_and_a_no_is_not(workflow: str) -> None:
    for each in spec(workflow)["templates"]:
        if "container" in each:
            assert each["retryStrategy"]["expression"] == f"asInt(lastRetry.exitCode) != {step_module.NO}"
            assert each["retryStrategy"]["limit"] <= 3


def images(found: list[Manifest], **given: str) -> list[str]:
    """The image of every step, with the workflows' parameters as they are or as a person gives them."""
    return [
        filled(each["container"]["image"], parameters(workflow, found) | given)
        for workflow in WORKFLOWS
        for each in (*spec(workflow, found)["templates"], spec(workflow, found)["templateDefaults"])
        if "container" in each
    ]


def test_every_step_runs_the_image_of_productions_release(tmp_path: Path) -> None:
    found = with_release(RELEASE, tmp_path, of="production", rendered="platform")
    image = "registry.example.com/purchase-prediction/training:0123456"
    assert images(found) == [image] * (len(STEPS) + len(WORKFLOWS))


def test_a_person_can_name_the_image_before_production_has_a_release() -> None:
    assert {each.rpartition(":")[2] for each in images(manifests("platform"))} == {UNRELEASED}
    named_ = images(manifests("platform"), **{"image-tag": "9c0d7e2"})
    assert {each.rpartition(":")[2] for each in named_} == {"9c0d7e2"}


def test_another_environments_release_changes_nothing_here(tmp_path: Path) -> None:
    found = with_release(RELEASE, tmp_path, of="staging", rendered="platform")
    assert found == manifests("platform")


def test_a_registry_with_a_port_is_not_taken_for_a_tag(tmp_path: Path) -> None:
    with_release(RELEASE, tmp_path, of="production")
    overlay = tmp_path / "environments/platform/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("registry.example.com/", "localhost:5001/"))
    found = documents(render.build(overlay.parent))
    assert set(images(found)) == {"localhost:5001/purchase-prediction/training:0123456"}
