"""Alertmanager's receivers lead to the on-call service, whose settings are those of its pods."""

from urllib.parse import urlsplit

import yaml

from apps.oncall.settings import OncallSettings
from ml.inbox_location import DatabaseUrl, inbox_location
from scripts.observability.objectives import FOLDER
from tests.environments.rendered import manifests, named
from tests.environments.test_services import container_of

FIELDS = OncallSettings.model_fields


def test_every_receiver_is_the_service() -> None:
    service = named(manifests("platform"), "Service", "oncall")
    (port,) = service["spec"]["ports"]
    address = f"oncall.{service['metadata']['namespace']}:{port['port']}"
    configuration = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())
    hooks = [hook["url"] for each in configuration["receivers"] for hook in each.get("webhook_configs", ())]
    assert {urlsplit(hook).netloc for hook in hooks} == {address}
    assert {urlsplit(hook).path for hook in hooks} == {"/alerts/page", "/alerts/ticket", "/alerts/heartbeat"}
    for environment in ("staging", "production"):
        values = {each["name"]: each.get("value") for each in container_of(environment, "console")["env"]}
        assert values["CONSOLE_ONCALL_URL"] == f"http://{address}"


def test_variables_are_settings_and_what_must_be_set_is() -> None:
    pod = named(manifests("platform"), "Deployment", "oncall")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = {each["name"]: each for each in container["env"]}
    needed = {f"ONCALL_{name.upper()}" for name, field in FIELDS.items() if field.is_required()}
    assert needed <= set(given) <= {f"ONCALL_{name.upper()}" for name in FIELDS}
    for name, each in given.items():
        assert ("value" in each) != name.endswith(("_TOKEN", "_KEY", "_PASSWORD")), name
    assert isinstance(inbox_location(given["ONCALL_DATABASE"]["value"]), DatabaseUrl)
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    for name in ("ONCALL_ROTA", "ONCALL_KEYS_FILE"):
        assert str(given[name]["value"]).rpartition("/")[0] in mounts
    assert {"containerPort": FIELDS["port"].default, "name": "http"} in container["ports"]
