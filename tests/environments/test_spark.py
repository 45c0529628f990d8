"""The Spark job's manifest: of its kind's schema, restricted, and writing where the workflow looks."""

from typing import Any

import pytest
import yaml

from ml.settings import MlSettings
from tests.environments.kubeconform import faults
from tests.environments.test_workflows import argv
from tests.repository.imports import ROOT

FOLDER = ROOT / "environments" / "components" / "spark"
TEXT = (FOLDER / "panel.yaml").read_text()
SPEC: dict[str, Any] = yaml.safe_load(TEXT)["spec"]


def test_every_object_follows_its_schema() -> None:
    assert faults(TEXT) == ""
    assert faults((FOLDER / "accounts.yaml").read_text()) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("restartPolicy:", "restartPolice:"),
        ("instances: 4", "instances: four"),
        ("type: Python", "type: Snake"),
    ],
)
def test_an_object_against_its_schema_is_found(right: str, wrong: str) -> None:
    assert right in TEXT
    assert faults(TEXT.replace(right, wrong, 1)) != ""


def test_the_workflow_takes_what_the_job_writes() -> None:
    option, folder = SPEC["arguments"]
    module, arguments = argv(("retrain", "take"))
    assert (option, module, arguments) == ("--out", "ml", ["panel", "--take", folder])
    assert SPEC["mainApplicationFile"] == "local:///srv/ml/spark_panel.py"
    assert (ROOT / "ml" / "spark_panel.py").is_file()


@pytest.mark.parametrize("pod", ["driver", "executor"])
def test_a_pod_is_restricted_and_sees_the_lake(pod: str) -> None:
    spec = SPEC[pod]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    (mount,) = spec["volumeMounts"]
    (volume,) = SPEC["volumes"]
    assert mount["name"] == volume["name"]
    given = {each["name"]: each["value"] for each in spec["env"]}
    assert MlSettings(state=given["ML_STATE"]).lake.is_relative_to(mount["mountPath"])
    assert given["PYTHONPATH"] == "/srv"
    assert spec["memory"]
    assert spec["memoryOverhead"]


def test_a_job_that_broke_is_tried_again_a_few_times() -> None:
    assert SPEC["restartPolicy"]["type"] == "OnFailure"
    assert SPEC["restartPolicy"]["onFailureRetries"] <= 3
