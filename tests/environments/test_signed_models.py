"""Overlays with components/signed-models serve what was signed only; a platform with components/signing signs."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from scripts.manifests import render
from tests.environments.rendered import Manifest, documents, manifests, named, text_of
from tests.repository.imports import ROOT


def built(folder: Path, overlay: str, component: str, **more: Any) -> list[Manifest]:
    """An overlay with one component more."""
    shutil.copytree(ROOT / "environments", folder / "environments")
    file = folder / "environments" / overlay / "kustomization.yaml"
    loaded = yaml.safe_load(file.read_text())
    loaded["components"].append(f"../components/{component}")
    file.write_text(yaml.safe_dump(loaded | more))
    (file.parent / "signers.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    return documents(render.build(file.parent))


def test_the_forecast_pods_read_the_keys_of_their_overlay(tmp_path: Path) -> None:
    keys = {"name": "model-signers", "files": ["signers.pem"], "options": {"disableNameSuffixHash": True}}
    found = built(tmp_path, "production", "signed-models", configMapGenerator=[keys])
    assert named(found, "ConfigMap", "model-signers")["data"].keys() == {"signers.pem"}
    pod = named(found, "Deployment", "forecast")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": "FORECAST_SIGNERS_FILE", "value": "/signers/signers.pem"} in container["env"]
    assert {"name": "signers", "mountPath": "/signers", "readOnly": True} in container["volumeMounts"]
    assert {"name": "signers", "configMap": {"name": "model-signers"}} in pod["volumes"]
    others = [each for each in found if each["metadata"]["name"] not in ("model-signers", "forecast")]
    assert all(each in manifests("production") for each in others)


def test_every_step_of_a_retraining_has_the_key_and_nobody_else_has(tmp_path: Path) -> None:
    found = built(tmp_path, "platform", "signing")
    spec = named(found, "WorkflowTemplate", "retrain")["spec"]
    container = spec["templateDefaults"]["container"]
    assert {"name": "ML_SIGNING_KEY_FILE", "value": "/model-signing/key.pem"} in container["env"]
    assert [each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each] == ["model-signing"]
    assert container["volumeMounts"][-1] == {
        "name": "model-signing",
        "mountPath": "/model-signing",
        "readOnly": True,
    }
    before = documents(text_of("environments/platform"))
    assert [new["metadata"]["name"] for old, new in zip(before, found, strict=True) if old != new] == [
        "retrain"
    ]
