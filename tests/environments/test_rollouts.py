"""One line makes an environment's releases progressive, and everything that knew the Deployment knows the Rollout."""

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apps.chassis.metrics import LATENCY_BUCKETS_SECONDS, Metrics
from apps.forecast.level import tell_level
from apps.forecast.serving import Serving
from scripts.evidence.soak import UNCOUNTED
from scripts.manifests import render
from scripts.promote_parser import parser
from tests.argo.objects import rights, specs
from tests.environments import connections
from tests.environments.kubeconform import faults
from tests.environments.network_policies import Connection, End, Network, selects
from tests.environments.rendered import Manifest, documents, named, of_kind, with_release
from tests.environments.rollouts import RELEASE, ROLLED, STRATEGIES, rolled_out, text_of, with_lines
from tests.policies.judge import SYNC, namespaces, review_of, verdicts
from tests.policies.samples import policies
from tests.repository.test_environments import component, missed, replacement_targets

NEW = {"canary": 0, "blue-green": 2}
"""Services that a strategy adds."""

compositions = pytest.mark.parametrize(
    ("environment", "strategy"), list(product(("staging", "production"), STRATEGIES))
)
strategies = pytest.mark.parametrize("strategy", STRATEGIES)


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def analyses(rollout: Manifest) -> Iterator[dict[str, Any]]:
    """Every analysis that a Rollout asks for."""
    strategy = rollout["spec"]["strategy"]
    yield from (
        step["analysis"] for step in strategy.get("canary", {}).get("steps", ()) if "analysis" in step
    )
    yield from (value for key, value in strategy.get("blueGreen", {}).items() if key.endswith("Analysis"))


@compositions
def test_the_line_adds_its_objects_and_changes_who_is_scaled(
    environment: str, strategy: str, tmp_path: Path
) -> None:
    single = with_release(RELEASE, tmp_path, of=environment)
    found = rolled_out(environment, strategy)
    added = [each for each in found if each not in single]
    kinds = sorted(each["kind"] for each in added if each["kind"] != "Service")
    assert kinds == sorted(["AnalysisTemplate", "Deployment", "HorizontalPodAutoscaler", "Rollout"] * 2)
    assert len(of_kind(added, "Service")) == NEW[strategy]
    assert len([each for each in single if each not in found]) == 2 * len(ROLLED)
    for each in added:
        labels = each["metadata"]["labels"]
        assert labels["environment"] == environment
        assert labels["app.kubernetes.io/part-of"] == "purchase-prediction"
        assert each["metadata"]["namespace"] == f"purchase-prediction-{environment}"


@compositions
def test_every_replacement_reaches_its_target(environment: str, strategy: str) -> None:
    assert len(replacement_targets(component("release"))) == 9
    assert missed(component("release"), rolled_out(environment, strategy), RELEASE) == []


@strategies
def test_the_workflows_run_the_image_of_a_progressive_production_too(strategy: str) -> None:
    platform = documents(text_of("production", strategy, rendered="platform"))
    assert missed(component("workflows"), platform, RELEASE) == []
    assert of_kind(platform, "Rollout", "AnalysisTemplate") == []


@compositions
def test_what_is_scaled_budgeted_reached_and_named_is_the_pods_of_the_rollout(
    environment: str, strategy: str
) -> None:
    found = rolled_out(environment, strategy)
    for name in ROLLED:
        rollout, deployment = named(found, "Rollout", name), named(found, "Deployment", name)
        assert rollout["spec"]["workloadRef"] == {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": name,
        }  # fmt: skip
        assert "replicas" not in rollout["spec"]
        assert deployment["spec"]["replicas"] == 0
        assert "template" not in rollout["spec"]
        target = named(found, "HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]
        assert target == {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": name}
        pod = deployment["spec"]["template"]["metadata"]["labels"] | {"rollouts-pod-template-hash": "1"}
        assert selects(named(found, "PodDisruptionBudget", name)["spec"]["selector"], pod)
        assert selects(named(found, "NetworkPolicy", name)["spec"]["podSelector"], pod)
        services = [each for each in of_kind(found, "Service") if selects_pod(each, pod)]
        names = {each["metadata"]["name"] for each in services}
        assert names == ({name} if strategy == "canary" else {name, f"{name}-preview"})
        ports = [each["spec"]["ports"] for each in services]
        assert all(each == ports[0] for each in ports)


def selects_pod(service: Manifest, labels: dict[str, str]) -> bool:
    return selects({"matchLabels": service["spec"]["selector"]}, labels)


@strategies
def test_blue_and_green_are_the_services_and_the_old_pods_wait_for_the_verdict(strategy: str) -> None:
    found = rolled_out("production", strategy)
    for name in ROLLED:
        spec = named(found, "Rollout", name)["spec"]
        assert spec["rollbackWindow"]["revisions"] < spec["revisionHistoryLimit"]
        assert spec["progressDeadlineAbort"] is True
        if strategy == "canary":
            assert spec["strategy"]["canary"]["steps"][-1].keys() == {"analysis"}
            continue
        green = spec["strategy"]["blueGreen"]
        services = {each["metadata"]["name"] for each in of_kind(found, "Service")}
        assert {green["activeService"], green["previewService"]} <= services
        longest = max(
            seconds(metric["initialDelay"]) + seconds(metric["interval"]) * metric["count"]
            for metric in named(found, "AnalysisTemplate", "service-health")["spec"]["metrics"]
        )
        assert green["scaleDownDelaySeconds"] > longest


def test_for_a_switch_the_deployments_have_pods_too_and_nothing_else_differs() -> None:
    found, both = rolled_out("production", "canary"), rolled_out("production", "canary", "beside")
    changed = [new for old, new in zip(found, both, strict=True) if old != new]
    assert [(each["kind"], each["metadata"]["name"]) for each in changed] == [
        ("Deployment", name) for name in ROLLED
    ]
    for each in changed:
        assert each["spec"]["replicas"] == 2
        autoscaler = named(both, "HorizontalPodAutoscaler", each["metadata"]["name"])
        assert autoscaler["spec"]["scaleTargetRef"]["kind"] == "Rollout"


@strategies
def test_every_object_follows_its_schema(strategy: str) -> None:
    assert faults(text_of("production", strategy)) == ""


@strategies
def test_every_argument_of_an_analysis_is_given_where_it_is_used(strategy: str) -> None:
    found = rolled_out("production", strategy)
    used = [each for name in ROLLED for each in analyses(named(found, "Rollout", name))]
    assert len(used) == (4 if strategy == "canary" else 3)
    for analysis in used:
        given = {each["name"] for each in analysis["args"]}
        for template in analysis["templates"]:
            spec = named(found, "AnalysisTemplate", template["templateName"])["spec"]
            assert {each["name"] for each in spec["args"] if "value" not in each} <= given
            assert set(re.findall(r"{{args\.([\w-]+)}}", str(spec))) == {
                each["name"] for each in spec["args"]
            }


def test_what_an_analysis_asks_for_is_what_the_services_tell() -> None:
    served = Metrics()
    tell_level(cast("Serving", SimpleNamespace(now=None)), served.registry)
    told = {
        f"{each.name}{suffix}" for each in served.registry.collect() for suffix in ("", "_total", "_bucket")
    }
    for template in of_kind(rolled_out("production", "canary"), "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            query = metric["provider"]["prometheus"]["query"]
            asked = set(re.findall(r"(\w+){", query))
            assert asked
            assert asked <= told
            for route in re.findall(r'route!~"([^"]*)"', query):
                assert route == UNCOUNTED


def test_no_data_is_a_failure_and_nothing_waits_for_a_person() -> None:
    for template in of_kind(rolled_out("production", "canary"), "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            assert metric["successCondition"].startswith(
                "len(result) == 1 && !isNaN(result[0]) && result[0] "
            )
            assert "failureCondition" not in metric
            assert metric["inconclusiveLimit"] == 0
            assert metric["failureLimit"] < metric["count"]
            assert metric["consecutiveErrorLimit"] < metric["count"]


def test_limits_are_within_what_is_measured() -> None:
    found = rolled_out("production", "canary")
    spec = named(found, "AnalysisTemplate", "service-health")["spec"]
    values = {each["name"]: each.get("value") for each in spec["args"]}
    assert float(values["p95-seconds"]) in LATENCY_BUCKETS_SECONDS
    (endpoint,) = named(found, "PodMonitor", "services")["spec"]["podMetricsEndpoints"]
    assert seconds(values["window"]) >= 4 * seconds(endpoint["interval"])
    for template in of_kind(found, "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            assert seconds(metric["initialDelay"]) >= 2 * seconds(endpoint["interval"])
    for name in ROLLED:
        steps = named(found, "Rollout", name)["spec"]["strategy"]["canary"]["steps"]
        pauses = [seconds(each["pause"]["duration"]) for each in steps if "pause" in each]
        assert min(pauses) >= seconds(values["window"]), "a window holds nothing from before the step"


@strategies
def test_the_policies_let_it_through_and_judge_the_pods_of_the_deployment(strategy: str) -> None:
    found = rolled_out("production", strategy)
    assert refused(found) == []
    worse = documents(text_of("production", strategy).replace("runAsNonRoot: true", "runAsNonRoot: false"))
    assert set(refused(worse)) == {"collector", "console", *ROLLED}


def refused(found: list[Manifest]) -> list[str]:
    said = verdicts([*policies(), *namespaces()], [review_of(each, SYNC) for each in found])
    return [each["metadata"]["name"] for each, refusals in zip(found, said, strict=True) if refusals]


@cache
def watched_platform() -> list[Manifest]:
    """The platform with the line that brings the watch, production with a canary and a release."""
    with TemporaryDirectory() as folder:
        overlay = with_lines(Path(folder), "production", "canary").with_name("platform")
        return documents(with_platform_line(overlay, "rollout/watch"))


def with_platform_line(platform: Path, taken: str) -> str:
    """A platform's overlay with another component, built."""
    file = platform / "kustomization.yaml"
    line = "  - ../components/workflows\n"
    text = file.read_text()
    assert line in text
    file.write_text(text.replace(line, f"{line}  - ../components/{taken}\n"))
    return render.build(platform)


def test_the_platforms_line_brings_one_process_of_productions_release_and_nothing_else() -> None:
    before = documents(text_of("production", "canary", rendered="platform"))
    differing = [each for each in watched_platform() if each not in before]
    added = [each for each in differing if each["metadata"]["name"] == "rollout-watch"]
    assert {each["kind"] for each in added} == {"Deployment", "NetworkPolicy", "ServiceAccount"}
    assert {(each["kind"], each["metadata"]["name"]) for each in differing if each not in added} == {
        ("NetworkPolicy", "model-store"), ("NetworkPolicy", "registry"),
    }  # fmt: skip
    (container,) = named(added, "Deployment", "rollout-watch")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.com/purchase-prediction/training:{RELEASE.image_tag}"
    project = specs("AppProject")["purchase-prediction-platform"]["namespaceResourceWhitelist"]
    assert {each["kind"] for each in added} <= {each["kind"] for each in project}
    assert parser().parse_args(container["args"]).environment == "production"
    assert faults("\n---\n".join(json.dumps(each) for each in added)) == ""


def test_the_watch_takes_secrets_that_the_platform_has_and_rights_that_the_bootstrap_grants() -> None:
    deployment = named(watched_platform(), "Deployment", "rollout-watch")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    needed = {
        (each["valueFrom"]["secretKeyRef"]["name"])
        for each in container["env"]
        if "valueFrom" in each and not each["valueFrom"]["secretKeyRef"].get("optional")
    }
    assert needed <= {each["metadata"]["name"] for each in of_kind(watched_platform(), "ExternalSecret")}
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    assert set(rights(f"purchase-prediction-platform:{account}")) >= {"purchase-prediction-production"}


def test_the_watch_reaches_what_it_asks_and_nothing_reaches_it() -> None:
    """Both ends of each connection; `default-deny` keeps everything else from it."""
    network = Network(of_kind(watched_platform(), "NetworkPolicy"), connections.namespaces())
    labels = named(watched_platform(), "Deployment", "rollout-watch")["spec"]["template"]["metadata"][
        "labels"
    ]
    watch = End("platform/rollout-watch", "10.244.9.9", "purchase-prediction-platform", labels, {})
    wanted = {
        ("platform/model-store", 8333), ("platform/registry", 5000), ("api-server", 6443), ("forge", 443),
        ("kube-system/kube-dns", 53),
    }  # fmt: skip
    for name, end in connections.ends().items():
        for port in (22, 53, 80, 443, 5000, 5432, 6443, 8001, 8333, 9090):
            lets = network.allows(Connection(watch, end, port, "TCP"))
            assert lets == ((name, port) in wanted), (name, port)
            assert not network.lets("Ingress", Connection(end, watch, port, "TCP"))
