"""Images get their tags on a real registry: what was built, and what did not change."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts import image_tags
from scripts.errors import Refused
from scripts.images.image_registry import ImageRegistry
from tests.cluster.bed import Bed
from tests.scripts.commits import commit, repository

pytestmark = pytest.mark.cluster

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


class Registry:
    """Repositories of an own name on the bed's registry; images are pushed without a tag, as the workflow does."""

    def __init__(self, bed: Bed) -> None:
        self.host, self.place = bed.registry, f"image-tags-{secrets.token_hex(4)}"

    def push(self, image: str, content: str) -> str:
        """Digest of an image without layers."""
        config = json.dumps({"os": "linux", "architecture": "amd64", "content": content}).encode()
        url = f"http://{self.host}/v2/{self.place}/{image}"
        with httpx.Client(timeout=30, trust_env=False) as client:
            started = client.post(f"{url}/blobs/uploads/").raise_for_status()
            where = httpx.URL(started.headers["location"]).copy_merge_params({"digest": digest(config)})
            client.put(where, content=config).raise_for_status()
            described = {"mediaType": CONFIG, "size": len(config), "digest": digest(config)}
            made = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}
            manifest = json.dumps(made).encode()
            headers = {"Content-Type": MANIFEST}
            client.put(
                f"{url}/manifests/{digest(manifest)}", content=manifest, headers=headers
            ).raise_for_status()
        return digest(manifest)

    def digest(self, image: str, tag: str) -> str:
        """What the registry itself says; empty where there is nothing."""
        url = f"http://{self.host}/v2/{self.place}/{image}/manifests/{tag}"
        answer = httpx.head(url, headers={"Accept": MANIFEST}, trust_env=False, timeout=30)
        return str(answer.headers.get("docker-content-digest", "")) if answer.is_success else ""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_what_changed_is_tagged_when_built_and_the_rest_by_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, git = Registry(Bed.from_environment()), repository(tmp_path)
    entries = [{"name": name, "newName": f"{registry.host}/{registry.place}/{name}"} for name in ("a", "b")]
    files = {
        "environments/staging/kustomization.yaml": json.dumps({"images": entries}).encode(),
        "apps/a/Dockerfile": b"FROM x\nCOPY apps/a apps/a/\n",
        "apps/b/Dockerfile": b"FROM x\nCOPY apps/b apps/b/\n",
        "apps/a/main.py": b"1",
        "apps/b/main.py": b"1",
    }
    first = commit(git, files)
    second = commit(git, {**files, "apps/a/main.py": b"2"}, first)

    def run(verb: str, head: str, *more: str) -> tuple[int, Any]:
        place = ("--head", head, "--repository", str(tmp_path))
        code = image_tags.main([verb, *place, *more])
        return code, json.loads(capsys.readouterr().out)

    def build(head: str) -> dict[str, str]:
        made = {each["image"]: registry.push(each["image"], head) for each in run("plan", head)[1]["build"]}
        for image, pushed in made.items():
            assert registry.digest(image, head) == ""
            assert run("built", head, "--image", image, "--digest", pushed)[0] == 0
            assert run("built", head, "--image", image, "--digest", pushed)[0] == 0, "again changes nothing"
        assert run("tag", head)[0] == 0
        return made

    old, new = build(first), build(second)
    assert (sorted(old), sorted(new)) == (["a", "b"], ["a"])
    assert registry.digest("a", second) == new["a"] != old["a"] == registry.digest("a", first)
    assert registry.digest("b", second) == old["b"] == registry.digest("b", first)
    assert run("plan", second)[1]["build"] == []


def test_a_tag_is_not_moved() -> None:
    registry = Registry(Bed.from_environment())
    name = f"{registry.host}/{registry.place}/a"
    one, other = registry.push("a", "one"), registry.push("a", "other")
    ImageRegistry().give_tag(name, one, "tag")
    with pytest.raises(Refused, match="already"):
        ImageRegistry().give_tag(name, other, "tag")
    assert registry.digest("a", "tag") == one
