"""A collector in the cluster takes the keys of its own environment and hides people with the vault's key."""

import pytest

from apps.collector.settings import LOCAL, CollectorSettings
from tests.environments.rendered import ENVIRONMENTS
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
    given = {each["name"]: each for each in container_of(environment, "collector")["env"]}
    assert given["COLLECTOR_PSEUDONYM_KEY"]["valueFrom"] == PSEUDONYM_KEY
    assert CollectorSettings.model_fields["environment"].default == LOCAL


def test_files_are_imported_with_a_pseudonym_key_too() -> None:
    given = {each["name"]: each for each in steps()["retrain", "ingest"]["env"]}
    assert given["ML_PSEUDONYM_KEY"]["valueFrom"] == PSEUDONYM_KEY
    others = [
        each["name"] for step in steps() if step != ("retrain", "ingest") for each in steps()[step]["env"]
    ]
    assert "ML_PSEUDONYM_KEY" not in others
