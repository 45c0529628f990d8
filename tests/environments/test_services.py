"""Each service has its whole set of objects in every environment, safe and able to stop without losing a request."""

from pathlib import Path
from typing import Any

import pytest

from apps.chassis.settings import ServiceSettings
from apps.collector.settings import CollectorSettings
from apps.console.settings import ConsoleSettings
from apps.decision.settings import DecisionSettings
from apps.forecast.settings import ForecastSettings
from ml.inbox_location import DatabaseUrl, inbox_location
from tests.environments.network_policies import selects
from tests.environments.rendered import ENVIRONMENTS, SERVICES, Manifest, manifests, named, of_kind

SETTINGS: dict[str, type[ServiceSettings]] = {
    "collector": CollectorSettings,
    "console": ConsoleSettings,
    "decision": DecisionSettings,
    "forecast": ForecastSettings,
}
KINDS = {
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ServiceAccount",
}
NAME = "app.kubernetes.io/name"

every = pytest.mark.parametrize(
    ("environment", "service"), [(each, service) for each in ENVIRONMENTS for service in SERVICES]
)


def pod_of(environment: str, service: str) -> Manifest:
    template: Manifest = named(manifests(environment), "Deployment", service)["spec"]["template"]
    return template


def container_of(environment: str, service: str) -> dict[str, Any]:
    (container,) = pod_of(environment, service)["spec"]["containers"]
    assert "initContainers" not in pod_of(environment, service)["spec"]
    return dict(container)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_environment_is_these_services_and_what_they_share(environment: str) -> None:
    found = manifests(environment)
    for service in SERVICES:
        kinds = KINDS | ({"Ingress"} if service == "console" and environment != "local" else set())
        assert {each["kind"] for each in found if each["metadata"]["name"] == service} == kinds
    shared = {
        (each["kind"], each["metadata"]["name"]) for each in found if each["metadata"]["name"] not in SERVICES
    }
    assert shared == {
        ("NetworkPolicy", "api-server"),
        ("NetworkPolicy", "default-deny"),
        ("NetworkPolicy", "names"),
        ("NetworkPolicy", "scrape"),
        ("PodMonitor", "services"),
    } | ({("PersistentVolumeClaim", "collector-inbox")} if environment == "local" else set())
    assert {each["metadata"]["namespace"] for each in found} == {f"purchase-prediction-{environment}"}
    assert {each["metadata"]["labels"]["environment"] for each in found} == {environment}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_goes_in_or_out_by_default(environment: str) -> None:
    spec = named(manifests(environment), "NetworkPolicy", "default-deny")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@every
def test_selectors_find_the_pods_of_the_service_and_of_no_other(environment: str, service: str) -> None:
    found = manifests(environment)
    spec = named(found, "Deployment", service)["spec"]
    budget = named(found, "PodDisruptionBudget", service)["spec"]
    policy = named(found, "NetworkPolicy", service)["spec"]
    selectors = [
        {"matchLabels": named(found, "Service", service)["spec"]["selector"]},
        spec["selector"],
        budget["selector"],
        policy["podSelector"],
    ]
    for selector in selectors:
        chosen = [
            each for each in SERVICES if selects(selector, pod_of(environment, each)["metadata"]["labels"])
        ]
        assert chosen == [service]


@every
def test_traffic_reaches_the_port_that_the_service_listens_on(environment: str, service: str) -> None:
    found = manifests(environment)
    (port,) = named(found, "Service", service)["spec"]["ports"]
    (listening,) = container_of(environment, service)["ports"]
    default = SETTINGS[service].model_fields["port"].default
    assert (port["targetPort"], port["port"]) == (listening["name"], default)
    assert listening["containerPort"] == default
    (endpoint,) = named(found, "PodMonitor", "services")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == listening["name"]


@every
def test_an_autoscaler_owns_the_number_of_pods(environment: str, service: str) -> None:
    scaler = named(manifests(environment), "HorizontalPodAutoscaler", service)["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": service}
    assert scaler["minReplicas"] >= (1 if environment == "local" else 2)
    assert scaler["maxReplicas"] > scaler["minReplicas"]
    assert "replicas" not in named(manifests(environment), "Deployment", service)["spec"]


@every
def test_a_pod_holds_no_token_and_follows_the_restricted_standard(environment: str, service: str) -> None:
    spec = pod_of(environment, service)["spec"]
    account = named(manifests(environment), "ServiceAccount", spec["serviceAccountName"])
    assert (spec["serviceAccountName"], account["automountServiceAccountToken"]) == (service, False)
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    container = container_of(environment, service)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {each["name"]: each["mountPath"] for each in container["volumeMounts"]}["tmp"] == "/tmp"
    assert all("sizeLimit" in each["emptyDir"] for each in spec["volumes"] if "emptyDir" in each)


@every
def test_probes_ask_what_they_are_for(environment: str, service: str) -> None:
    container = container_of(environment, service)
    asked = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    }
    assert asked == {"startup": "/health", "readiness": "/ready", "liveness": "/health"}


@every
def test_resources_are_asked_for_and_bounded(environment: str, service: str) -> None:
    resources = container_of(environment, service)["resources"]
    assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory", "ephemeral-storage"}


@every
def test_pods_are_spread_over_nodes_and_zones(environment: str, service: str) -> None:
    spec = pod_of(environment, service)["spec"]
    if (environment, service) == ("local", "collector"):  # one SQLite file, whose locks hold on one node only
        (together,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert together["topologyKey"] == "kubernetes.io/hostname"
        return
    spread = spec["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert all(selects(each["labelSelector"], {NAME: service}) for each in spread)


@every
def test_a_pod_stops_after_its_last_request_and_a_new_one_is_ready_first(
    environment: str, service: str
) -> None:
    spec = named(manifests(environment), "Deployment", service)["spec"]
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    assert spec["progressDeadlineSeconds"] == 120
    settings = SETTINGS[service].model_fields
    stopping = container_of(environment, service)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert stopping >= 5  # until every node has taken the pod out of its Service
    stopping += settings["drain_seconds"].default + settings["stop_timeout_seconds"].default
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > stopping


@every
def test_variables_are_settings_and_what_has_no_default_is_set(environment: str, service: str) -> None:
    given = {each["name"] for each in container_of(environment, service)["env"]}
    prefix, fields = SETTINGS[service].model_config["env_prefix"], SETTINGS[service].model_fields
    known = {f"{prefix}{name}".upper(): field for name, field in fields.items()}
    assert given - set(known) == (
        {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        if service == "forecast" or (service == "console" and environment != "local")
        else set()
    )
    assert {name for name, field in known.items() if field.is_required()} - given == set()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_collectors_share_a_file_on_this_machine_and_a_database_elsewhere(environment: str) -> None:
    given = {each["name"]: each for each in container_of(environment, "collector")["env"]}
    place = inbox_location(given["COLLECTOR_INBOX"]["value"])
    mounted = {each["name"] for each in pod_of(environment, "collector")["spec"]["volumes"]}
    if environment == "local":
        assert isinstance(place, Path)
        assert mounted == {"tmp", "inbox"}
        assert "COLLECTOR_INBOX_PASSWORD" not in given
    else:
        name = f"inbox_{environment}"
        assert place == DatabaseUrl("database.purchase-prediction-platform", 5432, name, name)
        assert mounted == {"tmp", "keys"}
        assert "secretKeyRef" in given["COLLECTOR_INBOX_PASSWORD"]["valueFrom"]


@every
def test_secrets_are_references(environment: str, service: str) -> None:
    values = {each["name"]: each.get("value") for each in container_of(environment, service)["env"]}
    for name, value in values.items():
        if name.endswith(("KEY", "TOKEN", "PASSWORD", "KEY_ID")):
            assert value is None, name
    assert of_kind(manifests(environment), "Secret") == []


def millicores(quantity: str) -> int:
    return int(quantity.removesuffix("m")) if quantity.endswith("m") else int(float(quantity) * 1000)


def test_staging_and_production_together_ask_for_at_most_one_core() -> None:
    """As they are, without a patch for the test bed: the fewest pods that the autoscalers keep."""
    asked = sum(
        named(manifests(environment), "HorizontalPodAutoscaler", service)["spec"]["minReplicas"]
        * millicores(container_of(environment, service)["resources"]["requests"]["cpu"])
        for environment in ("staging", "production")
        for service in SERVICES
    )
    assert 0 < asked <= 1000
