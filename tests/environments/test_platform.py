"""What both environments share: restricted pods, secrets that come from somewhere, a model store that is only read."""

import fnmatch
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.environments.network_policies import selects
from tests.environments.rendered import Manifest, manifests, named, of_kind

PLATFORM, STAGING, PRODUCTION = (
    f"purchase-prediction-{name}" for name in ("platform", "staging", "production")
)
SERVICES = ["database", "model-store", "oncall", "rate-limits", "registry"]


def workload(name: str) -> Manifest:
    (found,) = [
        each
        for each in of_kind(manifests("platform"), "Deployment", "StatefulSet")
        if each["metadata"]["name"] == name
    ]
    return found


def test_the_platform_owns_these_and_none_of_productions_objects() -> None:
    found = manifests("platform")
    assert (
        sorted(each["metadata"]["name"] for each in of_kind(found, "Deployment", "StatefulSet")) == SERVICES
    )
    outside = [each for each in found if each["metadata"].get("namespace", PLATFORM) != PLATFORM]
    assert {each["kind"] for each in outside} == {"ExternalSecret", "SecretStore", "ServiceAccount"}
    assert {each["kind"] for each in found if "namespace" not in each["metadata"]} == {"ClusterIssuer"}
    assert len(of_kind(found, "PersistentVolumeClaim")) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_its_pods_are_restricted_probed_and_bounded(name: str) -> None:
    pod = workload(name)["spec"]["template"]
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == (name, False)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    for kind in ("requests", "limits"):
        assert set(container["resources"][kind]) == {"cpu", "memory", "ephemeral-storage"}
    service = named(manifests("platform"), "Service", name)["spec"]
    assert selects({"matchLabels": service["selector"]}, pod["metadata"]["labels"])
    assert {each["targetPort"] for each in service["ports"]} <= {each["name"] for each in container["ports"]}
    assert named(manifests("platform"), "ServiceAccount", name)["automountServiceAccountToken"] is False
    assert re.fullmatch(
        r"registry\.example\.com/purchase-prediction/(mirror/[a-z]+:v?\d+(\.\d+)+(-full)?|oncall:[0-9a-z-]+)",
        container["image"],
    )


def references(found: Any, namespace: str) -> Iterator[tuple[str, str, str | None]]:
    """(namespace, Secret, key) of everything that needs a Secret; no key means the whole."""
    if isinstance(found, list):
        for each in found:
            yield from references(each, namespace)
    elif isinstance(found, dict):
        reference = found.get("secretKeyRef")
        if isinstance(reference, dict) and reference.get("optional") is not True:
            yield namespace, reference["name"], reference["key"]
        if isinstance(volume := found.get("secret"), dict):
            yield namespace, volume["secretName"], None
        for each in found.values():
            yield from references(each, namespace)


def read() -> set[tuple[str, str, str | None]]:
    return {
        reference
        for place in ("staging", "production", "platform")
        for each in manifests(place)
        for reference in references(each, each["metadata"].get("namespace", PLATFORM))
    }


def made() -> dict[tuple[str, str], set[str]]:
    """Keys of every Secret that External Secrets makes."""
    keys = {}
    for each in of_kind(manifests("platform"), "ExternalSecret"):
        spec = each["spec"]
        template = spec["target"].get("template", {}).get("data", {})
        own = set(template) or {entry["secretKey"] for entry in spec["data"]}
        keys[each["metadata"]["namespace"], spec["target"]["name"]] = own
    return keys


def test_every_secret_that_is_read_is_made_and_none_is_made_for_nobody() -> None:
    keys = made()
    assert {(namespace, name) for namespace, name, _ in read()} == set(keys)
    missing = [(where, name, key) for where, name, key in read() if key not in {None, *keys[where, name]}]
    assert missing == []


def test_a_namespace_reads_its_own_path_of_the_vault_only() -> None:
    for each in of_kind(manifests("platform"), "ExternalSecret"):
        place = each["metadata"]["namespace"].removeprefix("purchase-prediction-")
        assert each["spec"]["secretStoreRef"] == {"kind": "SecretStore", "name": "vault"}
        paths = {entry["remoteRef"]["key"].partition("/")[0] for entry in each["spec"]["data"]}
        # The store itself has to know everybody's keys to let them in.
        assert paths == {place} or each["metadata"]["name"] == "model-store-identities"
    for each in of_kind(manifests("platform"), "SecretStore"):
        assert (
            each["spec"]["provider"]["vault"]["auth"]["kubernetes"]["role"] == each["metadata"]["namespace"]
        )


def identities() -> dict[str, list[str]]:
    """What each account of the model store may do."""
    secret = named(manifests("platform"), "ExternalSecret", "model-store-identities")["spec"]
    given = {entry["secretKey"] for entry in secret["data"]}
    used: set[str] = set()

    def filled(found: re.Match[str]) -> str:
        used.add(found[1])
        return json.dumps(f"{found[1]}-value")

    text = re.sub(r"{{ \.(\w+) \| toJson }}", filled, secret["target"]["template"]["data"]["identities.json"])
    accounts = json.loads(text)["identities"]
    assert used == given
    assert len({json.dumps(each["credentials"]) for each in accounts}) == len(accounts)
    return {each["name"]: each["actions"] for each in accounts}


def may(account: str, action: str, place: str) -> bool:
    """As SeaweedFS decides: an action of a bucket, or of a pattern of objects."""
    return any(fnmatch.fnmatchcase(f"{action}:{place}", each) for each in identities()[account])


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_environment_reads_what_it_serves_and_writes_its_own_counts_of_it(environment: str) -> None:
    assert may(environment, "List", "models")
    assert may(environment, "Read", "models/bundles/5f0c.tar")
    assert may(environment, "Read", "models/snapshots/5f0c/2026-10.jsonl")
    assert may(environment, "Read", "models/reports/quality.json")
    assert not may(environment, "Read", "models/anything-else")
    assert not may(environment, "Read", "registry/1/table.json")
    assert not may(environment, "Read", f"served/{environment}/5f0c/2026-10.aa/1-2.jsonl")
    changing = [each for each in identities()[environment] if not each.startswith(("List:", "Read:"))]
    assert changing == [f"Write:served/{environment}/*"]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_pods_count_what_they_serve_where_their_account_may_write(environment: str) -> None:
    (container,) = named(manifests(environment), "Deployment", "forecast")["spec"]["template"]["spec"][
        "containers"
    ]
    values = {each["name"]: each.get("value") for each in container["env"]}
    bucket, _, prefix = values["FORECAST_SERVED_STORE"].removeprefix("s3://").partition("/")
    name = f"{bucket}/{prefix}/5f0c/2026-10.aa/1-2.jsonl"
    assert [account for account in identities() if may(account, "Write", name)] == [environment]
    (made,) = re.findall(r"for bucket in ([a-z ]+);", json.dumps(workload("model-store")))
    assert bucket in made.split()


def test_workflows_write_models_and_the_registry_its_own_bucket() -> None:
    assert may("writer", "Write", "models/bundles/5f0c.tar")
    assert may("writer", "Write", "models/reports/quality.json")
    assert may("writer", "List", "served")
    assert may("writer", "Read", "served/staging/5f0c/2026-10.aa/1-2.jsonl")
    assert not may("writer", "Write", "served/staging/5f0c/2026-10.aa/1-2.jsonl")
    assert not may("writer", "Write", "registry/1/table.json")
    assert may("registry", "Write", "registry/1/table.json")
    assert not may("registry", "Write", "models/bundles/5f0c.tar")
    assert set(identities()) == {"staging", "production", "writer", "registry", "backup"}
    assert not [
        each for actions in identities().values() for each in actions if "Admin" in each or "*:" in each
    ]


def test_the_services_of_the_environments_and_the_platform_agree_on_the_store() -> None:
    service = named(manifests("platform"), "Service", "model-store")
    (port,) = service["spec"]["ports"]
    for place in ("staging", "production"):
        (container,) = named(manifests(place), "Deployment", "forecast")["spec"]["template"]["spec"][
            "containers"
        ]
        values = {each["name"]: each.get("value") for each in container["env"]}
        address = f"{service['metadata']['name']}.{service['metadata']['namespace']}:{port['port']}"
        assert values["AWS_ENDPOINT_URL"] == f"http://{address}"
        assert values["FORECAST_MODEL_STORE"] == "s3://models"
        counts = values.get("FORECAST_SERVED_STORE", "s3://none").removeprefix("s3://")
        assert may(place, "Write", f"{counts}/5f0c/2026-10.aa/1-2.jsonl") == (counts != "none")
    (made_by,) = workload("model-store")["spec"]["template"]["spec"]["containers"]
    assert "models registry" in made_by["lifecycle"]["postStart"]["exec"]["command"][-1]
    (registry,) = workload("registry")["spec"]["template"]["spec"]["containers"]
    assert {"name": "MLFLOW_ARTIFACTS_DESTINATION", "value": "s3://registry"} in registry["env"]
