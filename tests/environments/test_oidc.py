"""An overlay that takes components/oidc trusts and reaches one identity provider; a wrong setting opens nothing."""

import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from apps.chassis.guard import guard_of
from apps.chassis.metrics import Metrics
from apps.chassis.settings import AccessSettings, BadSettings, read_settings
from apps.decision.settings import DecisionSettings
from apps.forecast.settings import ForecastSettings
from scripts.manifests import render
from tests.environments import connections
from tests.environments.kubeconform import faults
from tests.environments.network_policies import Connection, End, Network
from tests.environments.rendered import Manifest, documents, manifests, named, of_kind
from tests.repository.imports import ROOT

SETTINGS: dict[str, type[AccessSettings]] = {"decision": DecisionSettings, "forecast": ForecastSettings}
PLACES = ("staging", "production")
ISSUER, ADDRESS = "https://login.example.com/realms/shop", "203.0.113.7"

places = pytest.mark.parametrize("environment", PLACES)


def provider(environment: str, **changes: str | None) -> dict[str, str]:
    """What an overlay says of its provider; None leaves a key out."""
    said: Mapping[str, str | None] = {
        "issuer": ISSUER,
        "audience": f"purchase-prediction-{environment}",
        "roles_claim": "realm_access.roles",
        "addresses": f"{ADDRESS}/32",
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def built(environment: str, said: Mapping[str, str] | None, leave_out: str = "") -> list[Manifest]:
    """The objects of the overlay with the component; without `said` it names no provider."""
    return documents(text_of(environment, None if said is None else tuple(said.items()), leave_out))


@cache
def text_of(environment: str, said: tuple[tuple[str, str], ...] | None, leave_out: str = "") -> str:
    with TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "environments", Path(folder, "environments"))
        overlay = Path(folder, "environments", environment)
        file = overlay / "kustomization.yaml"
        loaded = yaml.safe_load(file.read_text())
        loaded["components"] = [each for each in loaded["components"] if not each.endswith(leave_out or "-")]
        loaded["components"].append("../components/oidc")
        if said is not None:
            metadata = {
                "name": "identity-provider",
                "annotations": {"config.kubernetes.io/local-config": "true"},
            }
            config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(said)}
            (overlay / "identity-provider.yaml").write_text(yaml.safe_dump(config))
            loaded["resources"].append("identity-provider.yaml")
        file.write_text(yaml.safe_dump(loaded))
        return render.build(overlay)


def right(environment: str) -> list[Manifest]:
    return built(environment, provider(environment))


def variables(found: list[Manifest], environment: str, service: str) -> dict[str, str]:
    """What a pod of the service is given, as Kubernetes fills it in; Secrets are made up."""
    (container,) = named(found, "Deployment", service)["spec"]["template"]["spec"]["containers"]
    given = {}
    for each in container["env"]:
        source: dict[str, Any] = each.get("valueFrom", {})
        given[each["name"]] = str(each.get("value", environment if "fieldRef" in source else "s" * 16))
    return given | {
        f"{service.upper()}_RATE_STORE": "redis://127.0.0.1:9",
        "FORECAST_MODEL_VERSION": "1",
        "FORECAST_MODEL_SHA256": "a" * 64,
    }


def settings_of(
    monkeypatch: pytest.MonkeyPatch, found: list[Manifest], environment: str, service: str
) -> AccessSettings:
    for name, value in variables(found, environment, service).items():
        monkeypatch.setenv(name, value)
    return read_settings(SETTINGS[service])


@places
@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_takes_tokens_of_the_provider_for_its_environment(
    environment: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(monkeypatch, right(environment), environment, service)
    assert (settings.oidc_issuer, settings.oidc_audience) == (ISSUER, f"purchase-prediction-{environment}")
    assert settings.oidc_roles_claim == "realm_access.roles"
    assert settings.environment == environment
    monkeypatch.setenv(f"{service.upper()}_KEYS_FILE", "")
    guard = guard_of(read_settings(SETTINGS[service]), service, Metrics().registry)
    assert guard.tokens is not None
    assert not guard.open_to_readers


@places
def test_only_these_two_differ_and_one_policy_is_new(environment: str) -> None:
    found, before = right(environment), manifests(environment)
    changed = [each for each in found if each not in before]
    assert sorted((each["kind"], each["metadata"]["name"]) for each in changed) == [
        ("Deployment", "decision"),
        ("Deployment", "forecast"),
        ("NetworkPolicy", "identity-provider"),
    ]
    assert faults(text_of(environment, tuple(provider(environment).items()))) == ""


@places
def test_the_provider_is_reached_by_these_two_at_its_address_and_port_only(environment: str) -> None:
    network = Network(of_kind(right(environment), "NetworkPolicy"), connections.namespaces())
    ends = connections.ends()
    outside = {
        "provider": End("provider", ADDRESS),
        "next to it": End("next", "203.0.113.8"),
        "metadata": ends["cloud-metadata"],
    }
    reached = {
        (name.partition("/")[2], to, port)
        for name, sender in ends.items()
        if name.startswith(f"{environment}/")
        and not name.endswith("/console")  # it reaches its forge outside
        for to, target in outside.items()
        for port in (80, 443, 8443)
        if network.allows(Connection(sender, target, port))
    }
    assert reached == {("decision", "provider", 443), ("forecast", "provider", 443)}
    before = Network(of_kind(manifests(environment), "NetworkPolicy"), connections.namespaces())
    assert not before.allows(Connection(ends[f"{environment}/forecast"], outside["provider"], 443))


@pytest.mark.parametrize("missing", ["issuer", "audience", "roles_claim", "addresses", None])
def test_an_overlay_that_does_not_name_all_of_it_is_not_built(missing: str | None) -> None:
    said = None if missing is None else provider("staging", **{missing: None})
    with pytest.raises(render.DoesNotRender, match=missing or "identity-provider"):
        built("staging", said)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"issuer": ""}, "OIDC_AUDIENCE"),
        ({"audience": ""}, "OIDC_AUDIENCE"),
        ({"issuer": "http://login.example.com"}, "OIDC_ISSUER"),
        ({"issuer": "login.example.com"}, "OIDC_ISSUER"),
        ({"roles_claim": ""}, "OIDC_ROLES_CLAIM"),
    ],
)
@pytest.mark.parametrize("service", SETTINGS)
def test_a_wrong_setting_stops_the_service_at_its_start(
    wrong: dict[str, str], why: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = built("staging", provider("staging", **wrong))
    with pytest.raises(BadSettings, match=why):
        settings_of(monkeypatch, found, "staging", service)


@pytest.mark.parametrize("service", SETTINGS)
def test_with_neither_keys_nor_a_provider_it_does_not_start_open(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without components/access there is no file of keys; an empty provider must not make that a laptop."""
    found = built("staging", provider("staging", issuer="", audience=""), leave_out="access")
    assert f"{service.upper()}_KEYS_FILE" not in variables(found, "staging", service)
    with pytest.raises(BadSettings, match="outside of a laptop"):
        settings_of(monkeypatch, found, "staging", service)


def shared_audiences(overlays: Mapping[str, list[Manifest]]) -> set[str]:
    """Audiences that more than one environment takes: tokens for one are then tokens for the other."""
    taken: dict[str, set[str]] = {}
    for environment, found in overlays.items():
        for each in of_kind(found, "Deployment"):
            for container in each["spec"]["template"]["spec"]["containers"]:
                for variable in container["env"]:
                    if variable["name"].endswith("_OIDC_AUDIENCE"):
                        taken.setdefault(variable["value"], set()).add(environment)
    return {audience for audience, where in taken.items() if len(where) > 1}


def test_no_two_environments_take_one_audience() -> None:
    assert shared_audiences({place: manifests(place) for place in PLACES}) == set()
    assert shared_audiences({place: right(place) for place in PLACES}) == set()
    same = built("production", provider("staging"))
    assert shared_audiences({"staging": right("staging"), "production": same}) == {
        "purchase-prediction-staging"
    }
