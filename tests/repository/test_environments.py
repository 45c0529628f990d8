"""Every environment renders, and carries its release into every place that needs it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.manifests import render
from scripts.release_file import Release, parse
from tests.environments.rendered import (
    ENVIRONMENTS,
    SERVICES,
    Manifest,
    documents,
    of_kind,
    text_of,
    with_release,
)
from tests.repository.imports import ROOT

# A commit of digits only, and one that YAML could take for a number with an exponent.
RELEASES = [
    Release(image_tag="0123456", model_version=12, model_sha256="5f0c" * 16),
    Release(image_tag="1e10", model_version=7, model_sha256="0" * 60 + "1e10"),
]


def at(manifest: Any, path: str) -> Any:
    """The value at a kustomize field path; `[name=x]` chooses from a list. None when the path leads nowhere."""
    for part in re.findall(r"\[[^\]]+\]|[^.\[\]]+", path):
        if part.startswith("["):
            key, _, value = part.strip("[]").partition("=")
            manifest = next((each for each in manifest or [] if each[key] == value), None)
        else:
            manifest = (manifest or {}).get(part)
    return manifest


def replacement_targets(component: str) -> list[tuple[str, Manifest, str]]:
    """(source's field path, target, field path) of every replacement in a component."""
    return [
        (replacement["source"]["fieldPath"], target, path)
        for replacement in yaml.safe_load(component)["replacements"]
        for target in replacement["targets"]
        for path in target["fieldPaths"]
    ]


def missed(component: str, manifests: list[Manifest], release: Release) -> list[str]:
    """The targets that do not hold the release's value; kustomize itself says nothing of a target it cannot find."""
    wrong = []
    for source, target, path in replacement_targets(component):
        select = target["select"]
        chosen = [
            each for each in of_kind(manifests, select["kind"]) if each["metadata"]["name"] == select["name"]
        ]
        found = at(chosen[0] if chosen else None, path)
        if "options" in target:
            found = str(found).rpartition(target["options"]["delimiter"])[2]
        key = source.removeprefix("data.") if source.startswith("data.") else "image_tag"
        if found != str(getattr(release, key)):
            wrong.append(f"{select['name']} {path}: {found!r}")
    return wrong


def images_of(path: str) -> dict[str, str]:
    """Where each image comes from, by its short name."""
    return {each["name"]: each["newName"] for each in yaml.safe_load((ROOT / path).read_text())["images"]}


def component(name: str) -> str:
    return (ROOT / "environments/components" / name / "kustomization.yaml").read_text()


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.image_tag)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_replacement_reaches_its_target(environment: str, release: Release, tmp_path: Path) -> None:
    found = with_release(release, tmp_path, of=environment)
    assert len(replacement_targets(component("release"))) == 9
    assert missed(component("release"), found, release) == []
    assert of_kind(found, "ConfigMap") == []


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.image_tag)
def test_productions_release_reaches_every_step_of_the_workflows(release: Release, tmp_path: Path) -> None:
    found = with_release(release, tmp_path, of="production", rendered="platform")
    assert len(replacement_targets(component("workflows"))) == 2
    images = re.findall(r"'image': '([^']+)'", str(of_kind(found, "WorkflowTemplate", "CronWorkflow")))
    assert len(images) >= 10
    assert {image.partition(":")[2] for image in images} == {"{{workflow.parameters.image-tag}}"}
    assert missed(component("workflows"), found, release) == []


@pytest.mark.parametrize(
    ("name", "rendered", "right", "wrong"),
    [
        ("release", "local", "name: decision", "name: decisions"),
        ("workflows", "platform", "name: retrain", "name: retraining"),
        ("workflows", "platform", "name: truth", "name: truths"),
    ],
)
def test_a_target_that_matches_nothing_is_found(
    name: str, rendered: str, right: str, wrong: str, tmp_path: Path
) -> None:
    """The control of the tests above: kustomize builds this without a word."""
    text = component(name).replace(right, wrong)
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    (tmp_path / "environments/components" / name / "kustomization.yaml").write_text(text)
    found = documents(render.build(tmp_path / "environments" / rendered))
    file = tmp_path / "environments" / ("local" if rendered == "local" else "production") / "release.yaml"
    lost = {each.partition(" ")[0] for each in missed(text, found, parse(file.read_bytes()))}
    assert lost == {wrong.removeprefix("name: ")}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_container_of_ours_runs_the_released_image(environment: str, tmp_path: Path) -> None:
    images = [
        container["image"]
        for manifest in of_kind(with_release(RELEASES[0], tmp_path, of=environment), "Deployment")
        for container in manifest["spec"]["template"]["spec"]["containers"]
    ]
    assert len(images) == len(SERVICES)
    assert [image for image in images if not image.endswith(f":{RELEASES[0].image_tag}")] == []


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_a_release_needs_every_image_that_anything_runs_under_its_tag(environment: str) -> None:
    gated = images_of(f"environments/{environment}/kustomization.yaml")
    workflows = images_of("environments/platform/kustomization.yaml")["training"]
    assert gated.keys() == {*SERVICES, "oncall", "training"}
    assert gated["training"] == workflows


def test_a_model_only_release_restarts_the_forecast_pods_and_nothing_else(tmp_path: Path) -> None:
    first = RELEASES[0]
    second = first.model_copy(update={"model_version": 13, "model_sha256": "a" * 64})
    before, after = (
        with_release(each, tmp_path / str(each.model_version), of="staging") for each in (first, second)
    )
    changed = [new["metadata"]["name"] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["forecast"]


@pytest.mark.parametrize(
    "folder", ["base", *(f"base/{name}" for name in (*SERVICES, "monitoring", "network"))]
)
def test_the_base_is_valid_alone(folder: str) -> None:
    assert documents(text_of(f"environments/{folder}"))


def test_what_differs_between_staging_and_production_is_what_their_overlays_say() -> None:
    staging, production = (
        documents(text_of(f"environments/{name}").replace(name, "environment"))
        for name in ("staging", "production")
    )
    changed = [new["metadata"]["name"] for old, new in zip(staging, production, strict=True) if old != new]
    assert changed == ["forecast"]
