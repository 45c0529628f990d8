"""Every object that is applied follows the schema of its kind, strictly."""

import pytest

from tests.environments.kubeconform import faults
from tests.environments.rendered import ENVIRONMENTS, text_of
from tests.repository.imports import ROOT

ARGO = [path for path in sorted((ROOT / "argo").rglob("*.yaml")) if "bootstrap" not in path.parts]
FOLDERS = [
    *(f"environments/{name}" for name in (*ENVIRONMENTS, "platform")),
    "argo/bootstrap",
    "policies",
    "policies/signatures",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_of_a_folder_follows_its_schema(folder: str) -> None:
    assert faults(text_of(folder)) == ""


def test_every_object_that_the_root_reads_follows_its_schema() -> None:
    assert len(ARGO) >= 15
    assert faults("\n---\n".join(path.read_text() for path in ARGO)) == ""


FAULTS = [
    ("environments/local", "maxUnavailable: 0", "maxUnavailabel: 0"),
    ("environments/local", "containerPort: 8001", "containerPort: http"),
    ("environments/local", "kind: NetworkPolicy", "kind: NetworkPolice"),
    ("environments/local", "runAsNonRoot: true", "runAsNonRoot: 'yes'"),
    ("environments/local", "scaleTargetRef:", "scaleTarget:"),
    ("environments/local", "podMetricsEndpoints:", "podMetricEndpoints:"),
    ("environments/platform", "refreshInterval: 1h", "refresh: 1h"),
    ("environments/platform", "serviceAccountRef:", "serviceAccount:"),
    ("environments/platform", "retryPolicy: Always", "retryPolice: Always"),
    ("environments/platform", "entrypoint: retrain", "entryPoint: retrain"),
    ("environments/platform", "startingDeadlineSeconds: 3600", "startingDeadlineSeconds: an hour"),
    ("environments/platform", "privateKeySecretRef:", "privateKey:"),
    ("argo/bootstrap", "roleRef:", "role:"),
    ("policies", "matchConstraints:", "matchConstraint:"),
    ("policies/signatures", "matchImageReferences:", "matchImageReference:"),
]


@pytest.mark.parametrize(("folder", "right", "wrong"), FAULTS, ids=str)
def test_an_object_against_its_schema_is_found(folder: str, right: str, wrong: str) -> None:
    text = next(each for each in text_of(folder).split("\n---\n") if right in each)
    assert faults(text) == ""
    assert faults(text.replace(right, wrong)) != ""


# Kinds of which nothing is rendered yet: each right, and with the last field misspelt.
SAMPLES = {
    "Certificate": "apiVersion: cert-manager.io/v1, spec: {secretName: a, issuerRef: {name: b}, dnsNames: [c]}",
    "ServiceMonitor": "apiVersion: monitoring.coreos.com/v1, spec: {selector: {}, endpoints: [{port: http}]}",
    "PrometheusRule": (
        "apiVersion: monitoring.coreos.com/v1, spec: {groups: [{name: a, rules: [{alert: b, expr: c, for: 1m}]}]}"
    ),
    "Rollout": "apiVersion: argoproj.io/v1alpha1, spec: {strategy: {canary: {steps: [{setWeight: 20}]}}}",
    "AnalysisTemplate": (
        "apiVersion: argoproj.io/v1alpha1, spec: {metrics: [{name: a, provider: {prometheus: {query: b}}}]}"
    ),
    "Workflow": "apiVersion: argoproj.io/v1alpha1, spec: {workflowTemplateRef: {name: retrain}}",
}
MISSPELT = {
    "dnsNames": "dnsName",
    "endpoints": "endpoint",
    "for: 1m": "four: 1m",
    "setWeight": "setWeigth",
    "query": "querry",
    "workflowTemplateRef": "workflowTemplate",
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_kinds_that_later_overlays_use_have_their_schema(kind: str) -> None:
    text = f"{{kind: {kind}, metadata: {{name: sample}}, {SAMPLES[kind]}}}"
    assert faults(text) == ""
    (right,) = [each for each in MISSPELT if each in text]
    assert faults(text.replace(right, MISSPELT[right])) != ""
