"""Rendered manifests and their difference between two commits, with the real kustomize."""

from pathlib import Path

import pytest

from scripts.forges.local import LocalForge
from scripts.history.repository import TRUNK
from scripts.manifests import render
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import open_promotion
from tests.scripts.world import World

ROOT = Path(__file__).parents[2]

SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: key
data:
  a: c2VjcmV0
stringData:
  b: open secret
"""
KUSTOMIZATION = "resources: [secret.yaml]\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "environments" / "local"
    folder.mkdir(parents=True)
    (folder / "secret.yaml").write_text(SECRET)
    (folder / "kustomization.yaml").write_text(KUSTOMIZATION)
    return folder


def test_the_pull_request_shows_what_changes_in_the_cluster(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    digest = world.train(1)
    forge = LocalForge.create(tmp_path / "forge.git", ROOT, "promoter")
    bridge = Bridge(forge, world.models, images=world.images)
    opened = open_promotion(bridge, Wish("staging", "ada", "1", "9c0d7e2"))
    assert opened.pull_request is not None
    added = [line for line in opened.pull_request.body.splitlines() if line.startswith("+ ")]
    images = [line for line in added if "image: " in line]
    assert len(images) == 4
    assert all(line.endswith(":9c0d7e2") for line in images)
    assert '+        model-version: "1"' in added
    assert f"+        model-sha256: {digest}" in added or f'+        model-sha256: "{digest}"' in added
    assert len(added) == 4 + 1 + 2 + 2


def test_the_difference_is_empty_when_nothing_changes_and_whole_for_a_new_environment(world: World) -> None:
    assert render.difference(world.git, TRUNK, TRUNK, "local") == ""
    before = world.git.text("rev-parse", TRUNK)
    files = {
        "kustomization.yaml": b"resources: [map.yaml]\n",
        "map.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    }
    world.commit_as_person("new", {f"environments/new/{name}": data for name, data in files.items()})
    assert "+kind: ConfigMap" in render.difference(world.git, before, TRUNK, "new")


def test_no_secret_appears(tree: Path) -> None:
    text = render.build(tree)
    assert "kind: Secret" in text
    assert text.count(render.HIDDEN) == 2
    assert "c2VjcmV0" not in text
    assert "open secret" not in text


def test_a_text_that_only_speaks_of_secrets_is_left_alone(tree: Path) -> None:
    (tree / "secret.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: 'kind: Secret'\n"
    )
    assert "a: 'kind: Secret'" in render.build(tree)


def test_what_does_not_render_is_said_in_kustomizes_words(tree: Path) -> None:
    (tree / "kustomization.yaml").write_text("resources: [gone.yaml]\n")
    with pytest.raises(render.DoesNotRender, match=r"local does not render: .*gone\.yaml"):
        render.build(tree)


def test_kustomize_is_the_checkouts_own_else_the_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert render.kustomize() == ROOT / ".bin" / "kustomize"
    monkeypatch.setattr(render, "BUILT", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(render.NoKustomize):
        render.kustomize()
    (tmp_path / "kustomize").write_text("#!/bin/sh\n")
    (tmp_path / "kustomize").chmod(0o755)
    assert render.kustomize() == tmp_path / "kustomize"
