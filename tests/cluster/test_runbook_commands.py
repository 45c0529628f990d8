"""The runbook's kubectl commands, run on a real cluster, on objects of our manifests in namespaces of their own.

`KUBECONFIG` names the cluster, and `PAUSE_IMAGE` an image of it that does nothing, else that of `REGISTRY`.
"""

import json
import os
import shlex
from collections.abc import Iterator
from functools import partial

import pytest

from tests.environments.rendered import Manifest, manifests, named
from tests.observability.runbook import PAGE, PLACEHOLDERS, blocks, filled, inline
from tests.policies.api_server import kubectl, wait_until
from tests.system.runbook_story import COMPARED

pytestmark = pytest.mark.cluster

PREFIX, OURS = "purchase-prediction-", "runbook-"
PLACES = PLACEHOLDERS | {"POD": "forecast", "NOW": "now"}
NAMES = {
    "platform": ("backup", "database", "model-store", "oncall", "rate-limits", "registry"),
    "production": ("forecast",),
}
OBJECTS = {
    "platform": (
        *(("CronWorkflow", name) for name in ("drift", "figures", "truth", "upkeep")),
        ("CronJob", "backup"),
        ("ExternalSecret", "database"),
    ),
    "production": (("HorizontalPodAutoscaler", "forecast"),),
}
COMMANDS = sorted(
    each
    for each in {*blocks(PAGE.read_text()), *inline(PAGE.read_text())}
    if each.startswith("kubectl ") and each not in COMPARED
)
IMAGE = os.environ.get("PAUSE_IMAGE", f"{os.environ.get('REGISTRY', 'localhost:5001')}/pause:1")


def pod(place: str, name: str) -> Manifest:
    labels = {"app.kubernetes.io/name": name}
    container = {"name": name, "image": IMAGE}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": OURS + place, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


def rollout() -> Manifest:
    """Of no pods, for its description alone."""
    labels = {"app.kubernetes.io/name": "nobody"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "forecast", "image": IMAGE}]},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "forecast", "namespace": f"{OURS}production"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "strategy": {"canary": {}},
            "template": template,
        },
    }


def moved(place: str, kind: str, name: str) -> Manifest:
    found = json.dumps(named(manifests(place), kind, name)).replace(PREFIX, OURS)
    manifest: Manifest = json.loads(found)
    return manifest


def listed(*made: Manifest) -> list[Manifest]:
    """One document of many objects."""
    return [{"apiVersion": "v1", "kind": "List", "items": list(made)}]


def has_account(place: str) -> bool:
    found = kubectl("-n", OURS + place, "get", "serviceaccount", "default", "-o", "name", may_fail=True)
    return bool(found[0])


def running(place: str, name: str) -> bool:
    phase = kubectl("-n", OURS + place, "get", "pod", name, "-o", "jsonpath={.status.phase}", may_fail=True)
    return phase[0] == "Running"


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    spaces = listed(
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OURS + place}} for place in NAMES)
    )
    try:
        kubectl("create", "-f", "-", given=spaces)
        for place, names in NAMES.items():
            wait_until(partial(has_account, place), "service account")
            made = [moved(place, *each) for each in OBJECTS[place]]
            kubectl("create", "-f", "-", given=listed(*made, *(pod(place, name) for name in names)))
        kubectl("create", "-f", "-", given=[rollout()])
        for place, names in NAMES.items():
            for name in names:
                wait_until(partial(running, place, name), f"pod {name}")
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", given=spaces)


@pytest.mark.parametrize(
    "command", [each for last in (False, True) for each in COMMANDS if ("delete" in each) is last]
)
def test_a_command_does_what_it_says(cluster: None, command: str) -> None:
    """`delete` comes last. What is piped on is for the reader's eyes.

    Where the API server cannot reach the kubelet by its node's name, it is the request for logs that is judged.
    """
    places = PLACES | ({"POD": "oncall"} if "platform" in command else {})
    words = shlex.split(filled(command, places).partition(" | ")[0].replace(PREFIX, OURS))[1:]
    out, error = kubectl(*words, may_fail=True)
    assert not error or ("logs" in words and f"/containerLogs/{words[1]}/" in error), error
    if "get" in words and OURS in words[1] and not {"analysisruns", "jobs"} & set(words):
        assert out.strip(), "nothing was found"
    if "patch" in words:
        name = words[words.index("cronworkflow") + 1]
        shown = kubectl("-n", f"{OURS}platform", "get", "cronworkflow", name, "-o", "json")[0]
        assert json.loads(shown)["spec"]["suspend"] is True
    if "annotate" in words:
        shown = kubectl("-n", f"{OURS}platform", "get", "externalsecret", "database", "-o", "json")[0]
        assert json.loads(shown)["metadata"]["annotations"]["force-sync"] == "now"
    if "create" in words:
        job = json.loads(kubectl("-n", f"{OURS}platform", "get", "job", "backup-now", "-o", "json")[0])
        template = job["spec"]["template"]["spec"]
        assert template["initContainers"][0]["command"] == ["python", "-m", "scripts.backup"]
        kubectl("-n", f"{OURS}platform", "delete", "job", "backup-now")


def test_a_command_that_names_nothing_fails(cluster: None) -> None:
    """The control."""
    wrong = ("-n", f"{OURS}platform", "get", "cronworkflow", "nobody")
    assert kubectl(*wrong, may_fail=True)[1]
