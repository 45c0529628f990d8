"""The bill of materials of a model: CycloneDX 1.6 (ECMA-424), a function of what the bundle was made of.

It lies in the bundle, so the digest that a release names and the signature beside the bundle cover it. It holds no time
and no place: the same data, code and libraries give the same text.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from ml.bundle import Manifest

LOCK: Final = Path(__file__).parents[1] / "requirements" / "training.txt"
SPEC: Final = "1.6"
_PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, order=True)
class Library:
    """An installed library; `hashes` are the sha256 of its files that the lock lets in, none where it is not locked."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()

    @property
    def purl(self) -> str:
        """Its package URL, one name for it everywhere."""
        return f"pkg:pypi/{self.name}@{self.version}"


def locked(lock: str) -> list[Library]:
    """The pins of a lock with hashes, as `make lock` writes it."""
    entries = re.split(r"\n(?=\S)", lock.strip())
    found = ((_PIN.match(entry), entry) for entry in entries)
    return [
        Library(_canonical(pin["name"]), pin["version"], tuple(_HASH.findall(entry)))
        for pin, entry in found
        if pin
    ]


def installed(lock: Path = LOCK) -> list[Library]:
    """The libraries of this process by name: those of the lock that are here, or all that are where there is no lock.

    One that is here in another version than the lock's is listed as it is, without a hash.
    """
    if not lock.is_file():
        return sorted({Library(_canonical(each.name), each.version) for each in distributions()})
    pins: dict[str, list[Library]] = {}
    for pin in locked(lock.read_text()):
        pins.setdefault(pin.name, []).append(pin)
    return sorted(filter(None, map(_as_installed, pins.values())))


def bundle_sbom(manifest: Manifest, members: Mapping[str, bytes], libraries: Iterable[Library]) -> str:
    """CycloneDX in JSON.

    Args:
        manifest: Of the bundle.
        members: The other files of the bundle by name.
        libraries: That were there when the model was fitted.
    """
    files = [_file(name, content) for name, content in sorted(members.items())]
    listed = [_library(each) for each in libraries]
    code = {
        "type": "application",
        "bom-ref": "code",
        "name": "purchase-prediction",
        "version": manifest.code_commit,
    }
    data = {
        "type": "data",
        "bom-ref": "data",
        "name": "panel",
        "version": manifest.data_version,
        "hashes": [_sha256(manifest.data_digest)],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": {**_model(manifest), "components": files}},
        "components": [code, data, *listed],
        "dependencies": [
            {"ref": "model", "dependsOn": ["code", "data"]},
            {"ref": "code", "dependsOn": [each["bom-ref"] for each in listed]},
        ],
    }
    text = json.dumps(document, sort_keys=True)
    return json.dumps(
        {**document, "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, text)}"},
        sort_keys=True,
        separators=(",", ":"),
    )


def image_sbom(image: str, libraries: Iterable[Library]) -> dict[str, Any]:
    """CycloneDX of the locked libraries of an image; what its base brings is not in it."""
    listed = [_library(each) for each in sorted(libraries)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": "image", "name": image}},
        "components": listed,
        "dependencies": [{"ref": "image", "dependsOn": [each["bom-ref"] for each in listed]}],
    }


def _model(manifest: Manifest) -> dict[str, Any]:
    facts = ("first_month", "last_month", "target_month", "products", "seed", "calibration_id")
    scores = {name: value for name, value in manifest.metrics.items() if value is not None}
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": manifest.candidate,
        "version": manifest.target_month,
        "modelCard": {
            "modelParameters": {
                "task": "forecast of next month's demand by product",
                "architectureFamily": manifest.family,
                "datasets": [{"ref": "data"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [{"type": name, "value": str(value)} for name, value in scores.items()]
            },
        },
        "properties": [
            {"name": f"purchase-prediction:{name}", "value": str(getattr(manifest, name))} for name in facts
        ],
    }


def _library(library: Library) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": "library",
        "bom-ref": library.purl,
        "name": library.name,
        "version": library.version,
        "purl": library.purl,
    }
    return told | ({"hashes": [_sha256(each) for each in library.hashes]} if library.hashes else {})


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "name": name, "hashes": [_sha256(hashlib.sha256(content).hexdigest())]}


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _as_installed(pins: Sequence[Library]) -> Library | None:
    """The library of the pins of one name as it is here; None when it is not, since they are for other systems."""
    name = pins[0].name
    try:
        here = version(name)
    except PackageNotFoundError:
        return None
    return next((pin for pin in pins if pin.version == here), Library(name, here))


def _canonical(name: str) -> str:
    """A project's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
