"""Schemas come from pinned modules, by checksum, and refuse what they do not know."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, Field

from scripts.errors import Broken
from scripts.schemas import PINS, Pin, from_crd, from_model, from_openapi, of_modules, pins, schemas_in, write

OPENAPI = {
    "definitions": {
        "io.k8s.api.apps.v1.Thing": {
            "type": "object",
            "description": "gone",
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "spec": {"$ref": "#/definitions/io.k8s.api.apps.v1.Spec"},
                "format": {"type": "string", "format": "byte"},
            },
            "x-kubernetes-group-version-kind": [{"group": "apps.k8s.io", "version": "v1", "kind": "Thing"}],
        },
        "io.k8s.api.apps.v1.Spec": {
            "type": "object",
            "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
    }
}
CRD: dict[str, Any] = {
    "kind": "CustomResourceDefinition",
    "spec": {
        "group": "argoproj.io",
        "names": {"kind": "Rollout"},
        "versions": [
            {
                "name": "v1alpha1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "metadata": {"type": "object"},
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "surge": {
                                        "anyOf": [{"type": "integer"}],
                                        "x-kubernetes-int-or-string": True,
                                    },
                                    "open": {
                                        "type": "object",
                                        "properties": {"a": {"type": "string"}},
                                        "x-kubernetes-preserve-unknown-fields": True,
                                    },
                                    "steps": {"type": "array", "items": {"type": "object", "properties": {}}},
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}


def test_a_kind_of_the_openapi_document_is_strict_and_shares_its_definitions() -> None:
    schemas = from_openapi(OPENAPI)
    assert set(schemas) == {"_definitions.json", "thing-apps-v1.json"}
    thing = schemas["thing-apps-v1.json"]
    assert thing["required"] == ["apiVersion", "kind", "spec"]
    assert thing["additionalProperties"] is False
    assert thing["properties"]["spec"] == {"$ref": "_definitions.json#/definitions/io.k8s.api.apps.v1.Spec"}
    assert thing["properties"]["format"] == {"type": "string"}
    spec = schemas["_definitions.json"]["definitions"]["io.k8s.api.apps.v1.Spec"]
    assert spec["additionalProperties"] is False
    assert spec["properties"]["labels"]["additionalProperties"] == {"type": "string"}


def test_a_custom_resource_is_strict_where_its_author_did_not_leave_it_open() -> None:
    (schema,) = from_crd(CRD).values()
    spec = schema["properties"]["spec"]
    assert schema["required"] == ["apiVersion", "kind", "metadata"]
    assert spec["additionalProperties"] is False
    assert spec["properties"]["surge"] == {"type": ["integer", "string"]}
    assert "additionalProperties" not in spec["properties"]["open"]
    assert spec["properties"]["steps"]["items"]["additionalProperties"] is False
    assert from_crd({"kind": "Kustomization"}) == {}


class Retry(BaseModel):
    limit: int | None = None
    default: str | None = None


class Template(BaseModel):
    retry_strategy: Retry | None = Field(default=None, alias="retryStrategy")
    metadata: str = ""


def test_a_models_schema_is_strict_and_null_is_no_value() -> None:
    schema = from_model(Template.model_json_schema(by_alias=True))
    assert schema["required"] == ["apiVersion", "kind", "metadata"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["metadata"]["$ref"].startswith("_definitions.json#")
    assert schema["properties"]["retryStrategy"]["anyOf"] == [{"$ref": "#/$defs/Retry"}]
    retry = schema["$defs"]["Retry"]
    assert retry["additionalProperties"] is False
    assert retry["properties"]["default"]["anyOf"] == [{"type": "string"}]  # a field that is called so


def archive(files: dict[str, str]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
    return buffer


FILES = {
    "x.example/y@v1.0.0/api/openapi-spec/swagger.json": json.dumps(OPENAPI),
    "x.example/y@v1.0.0/manifests/crds/a.yaml": yaml.safe_dump(CRD),
    "x.example/y@v1.0.0/manifests/crds/values.yaml": "operators:\n- =\n",
    "x.example/y@v1.0.0/manifests/crds/README.md": "no",
    "x.example/y@v1.0.0/other/api/openapi-spec/swagger.json": "not read",
}


def test_a_module_gives_its_openapi_and_its_definitions() -> None:
    with zipfile.ZipFile(archive(FILES)) as files:
        assert set(schemas_in(files)) == {
            "_definitions.json",
            "thing-apps-v1.json",
            "rollout-argoproj-v1alpha1.json",
        }


def fake_go(folder: Path, *, checksum: str = "h1:good", error: str | None = None) -> str:
    """A go that has one module in its cache."""
    module = folder / "y.zip"
    module.write_bytes(archive(FILES).getvalue())
    entry = {"Path": "x.example/y", "Version": "v1.0.0", "Zip": str(module), "Sum": checksum, "Error": error}
    (folder / "answer.json").write_text(json.dumps(entry))
    go = folder / "go"
    go.write_text(f'#!/bin/sh\ncat "{folder}/answer.json"\n')
    go.chmod(0o755)
    return str(go)


PIN = Pin("x.example/y", "v1.0.0", "h1:good")


def test_the_folder_holds_the_schemas_of_this_run_only(tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "old.json").touch()
    write(folder, of_modules([PIN], go=fake_go(tmp_path)))
    assert {path.name for path in folder.iterdir()} == {
        "_definitions.json",
        "thing-apps-v1.json",
        "rollout-argoproj-v1alpha1.json",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"schemas", "y.zip", "answer.json", "go"}


@pytest.mark.parametrize(
    ("pin", "go", "text"),
    [
        (PIN, {"checksum": "h1:other"}, "has checksum h1:other, pinned is h1:good"),
        (PIN, {"error": "no such module"}, "cannot be had: no such module"),
        (Pin("x.example/z", "v1.0.0", "h1:good"), {}, "z@v1.0.0 cannot be had"),
    ],
)
def test_another_content_is_refused_and_the_folder_stays(
    tmp_path: Path, pin: Pin, go: dict[str, str], text: str
) -> None:
    folder = tmp_path / "schemas"
    write(folder, of_modules([PIN], go=fake_go(tmp_path)))
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(Broken, match=text):
        write(folder, of_modules([pin], go=fake_go(tmp_path, **go)))
    assert sorted(path.name for path in folder.iterdir()) == before


def test_the_pins_are_versions_with_checksums() -> None:
    found = pins(PINS.read_text())
    assert {pin.module.split("/")[1] for pin in found} == {
        "argoproj",
        "cert-manager",
        "external-secrets",
        "kubeflow",
        "kubernetes",
        "kyverno",
        "prometheus-operator",
    }
    assert all(pin.version.startswith("v") and pin.checksum.startswith("h1:") for pin in found)
