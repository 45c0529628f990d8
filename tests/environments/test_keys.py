"""Services in the cluster take the keys of their own environment, and a collector hides people with the vault's key."""

from typing import Any

import pytest

from apps.chassis.settings import LOCAL
from apps.collector.settings import CollectorSettings
from apps.console.settings import ConsoleSettings
from tests.environments.rendered import ENVIRONMENTS, manifests, named
from tests.environments.test_services import container_of, pod_of
from tests.environments.test_workflows import steps

PSEUDONYM_KEY = {"secretKeyRef": {"name": "pseudonym-key", "key": "key"}}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_file_of_keys_is_where_a_secret_is_mounted(environment: str) -> None:
    container = container_of(environment, "collector")
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert values["COLLECTOR_ENVIRONMENT"] == environment
    folder, _, name = str(values["COLLECTOR_KEYS_FILE"]).rpartition("/")
    (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == folder]
    (volume,) = [
        each for each in pod_of(environment, "collector")["spec"]["volumes"] if each["name"] == mount["name"]
    ]
    assert (volume["secret"]["secretName"], name, mount["readOnly"]) == ("collector-keys", "keys.jsonl", True)
    assert "subPath" not in mount, "such a file never changes under a running pod"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_pseudonym_key_is_a_reference_that_must_be_there(environment: str) -> None:
    assert given(environment, "collector")["COLLECTOR_PSEUDONYM_KEY"]["valueFrom"] == PSEUDONYM_KEY
    assert CollectorSettings.model_fields["environment"].default == LOCAL


def test_files_are_imported_with_a_pseudonym_key_too() -> None:
    ingest = {each["name"]: each for each in steps()["retrain", "ingest"]["env"]}
    assert ingest["ML_PSEUDONYM_KEY"]["valueFrom"] == PSEUDONYM_KEY
    others = [
        each["name"] for step in steps() if step != ("retrain", "ingest") for each in steps()[step]["env"]
    ]
    assert "ML_PSEUDONYM_KEY" not in others


def given(environment: str, service: str) -> dict[str, Any]:
    return {each["name"]: each for each in container_of(environment, service)["env"]}


@pytest.mark.parametrize("service", ["forecast", "decision"])
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_who_reads_is_asked_for_a_key_of_the_environment(environment: str, service: str) -> None:
    prefix, values = service.upper(), given(environment, service)
    label = values[f"{prefix}_ENVIRONMENT"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert label == "metadata.labels['environment']"
    assert pod_of(environment, service)["metadata"]["labels"]["environment"] == environment
    folder, _, name = values[f"{prefix}_KEYS_FILE"]["value"].rpartition("/")
    (mount,) = [
        each for each in container_of(environment, service)["volumeMounts"] if each["mountPath"] == folder
    ]
    (volume,) = [
        each for each in pod_of(environment, service)["spec"]["volumes"] if each["name"] == mount["name"]
    ]
    assert (volume["secret"]["secretName"], name, mount["readOnly"]) == ("api-keys", "keys.jsonl", True)
    assert "subPath" not in mount, "such a file never changes under a running pod"


@pytest.mark.parametrize("service", ["collector", "forecast", "decision"])
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_all_pods_of_a_service_count_together(environment: str, service: str) -> None:
    store = given(environment, service)[f"{service.upper()}_RATE_STORE"]
    assert store["valueFrom"] == {"secretKeyRef": {"name": "rate-limits", "key": "url"}}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_services_that_ask_others_have_keys_of_their_own(environment: str) -> None:
    names = {
        ("decision", "DECISION_FORECAST_KEY"): "decision-forecast-key",
        ("console", "CONSOLE_API_KEY"): "console-api-key",
    }
    for (service, variable), secret in names.items():
        reference = {"secretKeyRef": {"name": secret, "key": "api-key"}}
        assert given(environment, service)[variable]["valueFrom"] == reference


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_what_is_secret_of_the_console_is_a_reference(environment: str) -> None:
    values = given(environment, "console")
    references = {
        name: (each["valueFrom"]["secretKeyRef"]["name"], each["valueFrom"]["secretKeyRef"]["key"])
        for name, each in values.items()
        if "secretKeyRef" in each.get("valueFrom", {})
    }
    assert references == {
        "CONSOLE_API_KEY": ("console-api-key", "api-key"),
        "CONSOLE_SESSION_KEY": ("console-sign-in", "session-key"),
        "CONSOLE_OIDC_CLIENT_ID": ("console-sign-in", "client-id"),
        "CONSOLE_OIDC_CLIENT_SECRET": ("console-sign-in", "client-secret"),
        "CONSOLE_FORGE_TOKEN": ("console-forge", "token"),
        "CONSOLE_ARGO_TOKEN": ("console-argo", "token"),
        "CONSOLE_ONCALL_KEY": ("console-oncall-key", "api-key"),
        "AWS_ACCESS_KEY_ID": ("model-store", "access-key-id"),
        "AWS_SECRET_ACCESS_KEY": ("model-store", "secret-access-key"),
    }


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_console_starts_with_what_its_environment_gives(environment: str) -> None:
    """A half-set provider or a missing session key would stop the pod."""
    told = {
        name.removeprefix("CONSOLE_").lower(): each.get("value", "x" * 40)
        for name, each in given(environment, "console").items()
        if name.startswith("CONSOLE_")
    }
    settings = ConsoleSettings.model_validate(told)
    assert (settings.environment, settings.users_file) == (environment, None)
    assert settings.oidc_issuer is not None


def test_a_laptop_has_neither() -> None:
    for service in ("collector", "forecast", "decision"):
        assert not [name for name in given("local", service) if name.endswith(("_KEYS_FILE", "_RATE_STORE"))]


def test_an_account_of_redis_is_for_the_buckets_of_its_environment() -> None:
    """What these lines mean is tried on a real server in tests/system/test_rate_limits.py."""
    secret = named(manifests("platform"), "ExternalSecret", "rate-limits-users")["spec"]["target"]
    lines = secret["template"]["data"]["users.acl"].splitlines()
    assert lines[0] == "user default off"
    for line, place in zip(lines[1:], ("staging", "production"), strict=True):
        assert line.startswith(f"user {place} on >{{{{ .{place} }}}} ~limit:{place}:* resetchannels -@all ")
        assert line.count("~") == 1
