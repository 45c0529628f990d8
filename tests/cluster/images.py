"""The images of a release: built once for what is in them, then given more names.

The tag is a digest of everything a build reads, so a second run finds its images in the registry. Another
release of the same code is another manifest with one label more, written straight into the registry.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.bed import ROOT, run
from tests.cluster.model_store import DOCKERFILE

SERVICES = ("collector", "console", "decision", "forecast")
PROJECT = "purchase-prediction"
_TRAINING, _NEVER_RUN = "training", "oncall"
_STAND_INS = "purchase-prediction-test"

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_TEST_BED = ROOT.parent / "shared" / "cluster" / "cluster"


def built(registry: str) -> str:
    """The tag under which the images of every service and of training are in the registry.

    No alarm is answered on the bed; what is asked of the image of `oncall` is only whether it is there.
    """
    tag = content_tag(_context())
    for service in SERVICES:
        _build(registry, f"{PROJECT}/{service}", tag, ROOT / "apps" / service / "Dockerfile", ROOT)
    _build(registry, f"{PROJECT}/{_TRAINING}", tag, ROOT / "ml" / "Dockerfile", ROOT)
    with httpx.Client(base_url=f"http://{registry}/v2", timeout=30) as http:
        _copy(http, f"{PROJECT}/forecast", f"{PROJECT}/{_NEVER_RUN}", tag)
    return tag


def store_image(registry: str) -> str:
    """The image of the model store that stands for S3."""
    return stand_in(registry, "model-store", DOCKERFILE)


def stand_in(registry: str, name: str, dockerfile: Path) -> str:
    """The image of what stands for a service of the platform, made from the folder of its Dockerfile."""
    tag = content_tag([dockerfile])
    _build(registry, f"{_STAND_INS}/{name}", tag, dockerfile, dockerfile.parent)
    return f"{registry}/{_STAND_INS}/{name}:{tag}"


def relabelled(registry: str, tag: str, label: str) -> str:
    """A new tag for all images: the same layers, another image id."""
    renamed = f"{tag}-{label}"
    with httpx.Client(base_url=f"http://{registry}/v2", timeout=30) as http:
        for name in (*SERVICES, _TRAINING, _NEVER_RUN):
            _relabel(http, f"{PROJECT}/{name}", tag, renamed)
    return renamed


def content_tag(files: list[Path]) -> str:
    """Twelve hex digits of the files' paths and bytes."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def _context() -> list[Path]:
    """Every file that a build can copy."""

    def inside(folder: str) -> Iterator[Path]:
        return (p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)

    copied = (file for folder in ("apps", "ml", "requirements", "scripts") for file in inside(folder))
    return sorted([*copied, ROOT / "tools" / "go.mod", ROOT / "tools" / "go.sum"])


def _build(registry: str, name: str, tag: str, dockerfile: Path, folder: Path) -> None:
    with httpx.Client(base_url=f"http://{registry}/v2", timeout=30) as http:
        if http.head(f"/{name}/manifests/{tag}", headers={"Accept": _MANIFESTS}).is_success:
            return
    for command in _builder(f"{registry}/{name}:{tag}", f"{name}:{tag}", str(dockerfile), str(folder)):
        run(*command)


def _builder(image: str, name: str, dockerfile: str, folder: str) -> list[list[str]]:
    """What builds and pushes: `IMAGE_BUILDER FOLDER NAME:TAG -f DOCKERFILE`, the test bed's, or docker."""
    own = os.environ.get("IMAGE_BUILDER")
    if own:
        return [[*shlex.split(own), folder, name, "-f", dockerfile]]
    if _TEST_BED.is_file():
        return [[str(_TEST_BED), "image", folder, name, "-f", dockerfile, "--layers"]]
    return [["docker", "build", "-q", "-t", image, "-f", dockerfile, folder], ["docker", "push", "-q", image]]


def _copy(http: httpx.Client, name: str, copy: str, tag: str) -> None:
    """The same image under another name, its blobs mounted from the first."""
    manifest = _ok(http.get(f"/{name}/manifests/{tag}", headers={"Accept": _MANIFESTS}))
    document = manifest.json()
    for blob in (document["config"], *document["layers"]):
        _ok(http.post(f"/{copy}/blobs/uploads/", params={"mount": blob["digest"], "from": name}))
    kind = {"Content-Type": manifest.headers["Content-Type"]}
    _ok(http.put(f"/{copy}/manifests/{tag}", content=manifest.content, headers=kind))


def _relabel(http: httpx.Client, name: str, tag: str, renamed: str) -> None:
    manifest = _ok(http.get(f"/{name}/manifests/{tag}", headers={"Accept": _MANIFESTS}))
    kind, document = manifest.headers["Content-Type"], manifest.json()
    config: dict[str, Any] = _ok(http.get(f"/{name}/blobs/{document['config']['digest']}")).json()
    config["config"].setdefault("Labels", {})["release"] = renamed
    blob = json.dumps(config).encode()
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    place = _ok(http.post(f"/{name}/blobs/uploads/")).headers["Location"]
    _ok(http.put(httpx.URL(place).copy_merge_params({"digest": digest}), content=blob))
    document["config"] |= {"digest": digest, "size": len(blob)}
    content = json.dumps(document).encode()
    _ok(http.put(f"/{name}/manifests/{renamed}", content=content, headers={"Content-Type": kind}))


def _ok(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    )
    return answer
