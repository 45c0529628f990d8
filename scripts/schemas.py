"""JSON schemas for kubeconform, made from the projects' own pinned and checksummed sources.

`python -m scripts.schemas` reads `tools/schemas.sum` (module, version and checksum as in a go.sum), takes the
OpenAPI document of Kubernetes and the custom resource definitions of Argo CD, Argo Rollouts, the Prometheus operator,
cert-manager, External Secrets, Kyverno and the spark-operator out of those Go modules and the kinds of Argo Workflows
out of hera's models, and writes one strict schema per kind: a field that the schema does not know is an
error. Nothing is downloaded when tests run.
"""

import argparse
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from scripts.errors import Broken

ROOT = Path(__file__).parents[1]
PINS = ROOT / "tools" / "schemas.sum"
FOLDER = ROOT / ".bin" / "schemas"
LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"  # kubeconform's names for the files that are written

_OPENAPI = "api/openapi-spec/swagger.json"
_CRDS = (
    "manifests/crds/",
    "deploy/crds/",
    "example/prometheus-operator-crd-full/",
    "config/crd/bases/sparkoperator",
    "config/crds/policies.kyverno.io/policies.kyverno.io_image",
)
_WORKFLOW_KINDS = ("ClusterWorkflowTemplate", "CronWorkflow", "Workflow", "WorkflowTemplate")
_DEFINITIONS = "_definitions.json"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_WIDER = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ["string", "integer"],
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ["string", "number"],
}

Schema = dict[str, Any]


class _Yaml(yaml.CSafeLoader):
    """Reads a lone `=` as text; the Prometheus operator lists it as an operator."""

    yaml_constructors: ClassVar = {
        **yaml.CSafeLoader.yaml_constructors,
        "tag:yaml.org,2002:value": yaml.CSafeLoader.construct_scalar,
    }


@dataclass(frozen=True)
class Pin:
    """One Go module, by version and by the checksum of its content."""

    module: str
    version: str
    checksum: str


def pins(text: str) -> list[Pin]:
    """The pins in the text of a `schemas.sum`."""
    return [Pin(*line.split()) for line in text.splitlines() if line.strip()]


def of_modules(wanted: Sequence[Pin], *, go: str | None = None) -> dict[str, Schema]:
    """File name to schema of every kind in these modules.

    Raises:
        Broken: Go is missing, a module cannot be had, or its content has another checksum.
    """
    schemas: dict[str, Schema] = {}
    for archive in downloaded(wanted, go or _go()):
        with zipfile.ZipFile(archive) as files:
            schemas |= schemas_in(files)
    return schemas


def write(folder: Path, schemas: Mapping[str, Schema]) -> None:
    """Replace a folder by one that holds these schemas and nothing else."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place, "schemas")
        made.mkdir()
        for name, schema in schemas.items():
            (made / name).write_text(json.dumps(schema, sort_keys=True), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def downloaded(wanted: Sequence[Pin], go: str) -> list[Path]:
    """The module archives in Go's cache, each with the pinned checksum."""
    names = [f"{pin.module}@{pin.version}" for pin in wanted]
    with tempfile.TemporaryDirectory() as outside:
        done = subprocess.run(
            [go, "mod", "download", "-json", *names],
            cwd=outside,
            env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    found = {(entry["Path"], entry["Version"]): entry for entry in _objects(done.stdout)}
    archives = []
    for pin in wanted:
        entry = found.get((pin.module, pin.version), {})
        if entry.get("Error") or "Zip" not in entry:
            raise Broken(
                f"{pin.module}@{pin.version} cannot be had: {entry.get('Error') or done.stderr.strip()}"
            )
        if entry.get("Sum") != pin.checksum:
            raise Broken(
                f"{pin.module}@{pin.version} has checksum {entry.get('Sum')}, pinned is {pin.checksum}"
            )
        archives.append(Path(entry["Zip"]))
    return archives


def schemas_in(files: zipfile.ZipFile) -> dict[str, Schema]:
    """File name to schema, from the OpenAPI document or the custom resource definitions of a module."""
    schemas: dict[str, Schema] = {}
    for path in files.namelist():
        inner = path.partition("@")[2].partition("/")[2]
        if inner == _OPENAPI:
            schemas |= from_openapi(json.loads(files.read(path)))
        elif inner.startswith(_CRDS) and inner.endswith(".yaml"):
            for document in yaml.load_all(files.read(path), _Yaml):
                schemas |= from_crd(document)
    return schemas


def from_openapi(document: Mapping[str, Any]) -> dict[str, Schema]:
    """One schema per kind of Kubernetes' OpenAPI version 2 document, and the definitions that they share."""
    definitions = {name: strict(schema) for name, schema in document["definitions"].items()}
    for name, types in _WIDER.items():
        definitions[name] = {"type": types}
    schemas: dict[str, Schema] = {_DEFINITIONS: {"definitions": definitions}}
    for name, schema in document["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            own = {
                **definitions[name],
                "required": sorted({*schema.get("required", ()), "apiVersion", "kind"}),
            }
            schemas[_file_name(kind["kind"], kind["group"], kind["version"])] = _pointing_out(own)
    return schemas


def of_workflows() -> dict[str, Schema]:
    """One schema per kind of Argo Workflows, whose own module has no archive to read."""
    models = importlib.import_module("hera.workflows.models")
    return {
        _file_name(kind, "argoproj.io", "v1alpha1"): from_model(
            getattr(models, kind).model_json_schema(by_alias=True)
        )
        for kind in _WORKFLOW_KINDS
    }


def from_model(schema: Mapping[str, Any]) -> Schema:
    """The schema of a pydantic model whose None means that a field is not there."""
    made: Schema = strict(_without_null(schema))
    made["properties"]["metadata"] = {"$ref": f"{_DEFINITIONS}#/definitions/{_META}"}
    made["required"] = sorted({*made.get("required", ()), "apiVersion", "kind", "metadata"})
    return made


def from_crd(document: Mapping[str, Any]) -> dict[str, Schema]:
    """One schema per served version of a custom resource definition."""
    if not isinstance(document, dict) or document.get("kind") != "CustomResourceDefinition":
        return {}
    spec, schemas = document["spec"], {}
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"$ref": f"{_DEFINITIONS}#/definitions/{_META}"}
        schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})
        schemas[_file_name(spec["names"]["kind"], spec["group"], version["name"])] = schema
    return schemas


def strict(schema: Any) -> Any:
    """The same schema, in which a field that is not named is an error and numbers may be what the API takes."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        key: {name: strict(each) for name, each in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
        if key not in {"description", "format"} and not key.startswith("x-")
    }
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        result.pop("anyOf", None)
        result["type"] = ["integer", "string"]
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-embedded-resource"
    )
    if "properties" in schema and "additionalProperties" not in schema and not open_ended:
        result["additionalProperties"] = False
    return result


def _without_null(schema: Any) -> Any:
    """The schema in which null is no value."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema if each != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    return {key: _without_null(value) for key, value in schema.items()}


def _pointing_out(schema: Any) -> Any:
    """The schema with its references into the shared file of definitions."""
    if isinstance(schema, list):
        return [_pointing_out(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"{_DEFINITIONS}{value}" if key == "$ref" and isinstance(value, str) else _pointing_out(value)
        for key, value in schema.items()
    }


def _file_name(kind: str, group: str, version: str) -> str:
    parts = [kind, *([group.partition(".")[0]] if group else []), version]
    return "-".join(parts).lower() + ".json"


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that stand one after another."""
    decoder, position = json.JSONDecoder(), 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        found, position = decoder.raw_decode(text, position)
        yield found


def _go() -> str:
    beside = Path(sys.executable).parent / "go"
    found = str(beside) if beside.is_file() else shutil.which("go")
    if found is None:
        raise Broken("there is no go here; `make setup` brings it")
    return found


def main() -> None:
    """Write the schemas that tests use."""
    parser = argparse.ArgumentParser(description="Write JSON schemas for kubeconform.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder = parser.parse_args().folder
    schemas = of_modules(pins(PINS.read_text(encoding="utf-8"))) | of_workflows()
    write(folder, schemas)
    print(json.dumps({"folder": str(folder), "kinds": len(schemas) - 1}))  # one file is of definitions


if __name__ == "__main__":
    main()
