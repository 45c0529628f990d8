"""Each pod that opens AWS's storage has a role, and no other pod has one: the map against the manifests."""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import yaml

from tests.environments.rendered import Manifest, manifests, named, of_kind
from tests.environments.test_aws import with_component
from tests.repository.imports import ROOT
from tests.terraform.root import INSTALLATIONS, resolved, resources, scope

Account = tuple[str, str]
"""Namespace and name."""

PLATFORM = "purchase-prediction-platform"
"""Where Argo CD puts what names no namespace: a component that the platform takes."""
# Of a chart, which is not rendered here: its namespace is the application's.
KYVERNO = ("kyverno", "kyverno-admission-controller")


def with_roles(installation: str) -> set[Account]:
    """The accounts whose pods get a role in an installation, as the associations say it."""
    given, (association,) = scope(installation), resources("aws_eks_pod_identity_association").values()
    pods = resolved(association["for_each"], given)
    return {
        (
            resolved(association["namespace"], {**given, "each.value": pod}),
            resolved(association["service_account"], {**given, "each.value": pod}),
        )
        for pod in pods.values()
    }


def opening(found: Iterable[Manifest]) -> set[Account]:
    """The accounts of pods with an `s3://` in what a container is told."""
    return {
        (each["metadata"].get("namespace", PLATFORM), account)
        for each in found
        for account, told in _containers(each.get("spec", {}))
        if any("s3://" in text for text in told)
    }


def _containers(node: Any, account: str = "default", given: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Account, and values and arguments, of every container; `given` is what a workflow gives to all of its steps."""
    if isinstance(node, list):
        for each in node:
            yield from _containers(each, account, given)
    elif isinstance(node, dict):
        account = str(node.get("serviceAccountName") or node.get("serviceAccount") or account)
        given = (*given, *node.get("templateDefaults", {}).get("container", {}).get("env", ()))
        if "env" in node or "image" in node:
            variables = (*given, *node.get("env", ()))
            yield account, [*(str(each.get("value")) for each in variables), *map(str, node.get("args", ()))]
        for key, each in node.items():
            if key != "templateDefaults":
                yield from _containers(each, account, given)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Both environments, and the platform with what it may take besides."""
    platform = [
        each
        for name in ("rollout/watch", "spark")
        for each in with_component(name, "platform", tmp_path_factory.mktemp("platform"))
    ]
    return [*manifests("staging"), *manifests("production"), *platform]


def test_every_pod_that_opens_the_storage_has_a_role_and_no_other_has(rendered: list[Manifest]) -> None:
    assert with_roles("production") == opening(rendered) | {KYVERNO}
    assert with_roles("staging") == {
        each for each in with_roles("production") if each[0] != "purchase-prediction-production"
    }


def test_every_account_with_a_role_is_one_of_the_manifests(rendered: list[Manifest]) -> None:
    made = {
        (each["metadata"].get("namespace", PLATFORM), each["metadata"]["name"])
        for each in of_kind(rendered, "ServiceAccount")
    }
    application = yaml.safe_load((ROOT / "argo" / "applications" / "kyverno.yaml").read_text())
    assert application["spec"]["destination"]["namespace"] == KYVERNO[0]
    for installation in INSTALLATIONS:
        assert with_roles(installation) <= made | {KYVERNO}


def _tell_decision(found: list[Manifest]) -> None:
    (container,) = _containers_of(found, "decision")
    container["env"].append({"name": "DECISION_STORE", "value": "s3://models"})


def _do_not_tell_forecast(found: list[Manifest]) -> None:
    for container in _containers_of(found, "forecast"):
        container["env"] = [each for each in container["env"] if "s3://" not in str(each.get("value"))]


def _another_account(found: list[Manifest]) -> None:
    deployment = named(found, "Deployment", "forecast")
    deployment["spec"]["template"]["spec"]["serviceAccountName"] = "console-2"


def _no_account_for_a_step(found: list[Manifest]) -> None:
    for template in named(found, "WorkflowTemplate", "retrain")["spec"]["templates"]:
        template.pop("serviceAccountName", None)


def _containers_of(found: list[Manifest], name: str) -> list[dict[str, Any]]:
    containers: list[dict[str, Any]] = named(found, "Deployment", name)["spec"]["template"]["spec"][
        "containers"
    ]
    return containers


@pytest.mark.parametrize(
    ("overlay", "change", "lacking", "idle"),
    [
        ("staging", _tell_decision, {"decision"}, set()),
        ("staging", _do_not_tell_forecast, set(), {"forecast"}),
        ("staging", _another_account, {"console-2"}, {"forecast"}),
        ("platform", _no_account_for_a_step, set(), {"retrain"}),
    ],
)
def test_a_pod_without_a_role_and_a_role_without_a_pod_are_seen(
    overlay: str, change: Callable[[list[Manifest]], None], lacking: set[str], idle: set[str]
) -> None:
    found = copy.deepcopy(manifests(overlay))
    namespace = f"purchase-prediction-{overlay}"
    before = opening(found)
    assert before
    change(found)
    roles = with_roles("production")
    assert {name for _, name in opening(found) - roles} == lacking
    assert {name for place, name in before - opening(found) if place == namespace} == idle
