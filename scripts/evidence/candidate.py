"""A model that may be released: what the registry says of it, checked against its own bytes."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from ml.errors import BundleRefused, ModelNotFound, SnapshotNotFound
from scripts.errors import Refused
from scripts.evidence import papers
from scripts.evidence.record import Model, Row, Verdict

BENCHMARK = "benchmark.json"
VERDICT = "verdict.json"


class RegisteredModel(Protocol):
    """A model version as the registry describes it."""

    @property
    def version(self) -> int:
        """Number in the registry, from 1."""

    @property
    def sha256(self) -> str:
        """Digest of the bundle."""

    @property
    def data_version(self) -> str:
        """What it was trained on."""

    @property
    def candidate(self) -> str:
        """Name of the algorithm."""

    @property
    def run_id(self) -> str:
        """The training run."""

    @property
    def created_at(self) -> datetime:
        """When it was registered, aware."""


class Registry(Protocol):
    """Where versions, aliases and the papers of a training are."""

    def resolve(self, version_or_alias: str, /) -> RegisteredModel:
        """The model behind a number or an alias; `ModelNotFound` when there is none."""

    def artifact(self, version: int, name: str, /) -> bytes:
        """A file kept with the training; `ModelNotFound` when there is none."""

    def set_alias(self, alias: str, version: int, /) -> None:
        """Point an alias at a version; it leaves the version it had."""


class Store(Protocol):
    """Where bundles and snapshots are, by digest."""

    def get_bundle(self, sha256: str, /) -> bytes:
        """Verified bytes of a bundle."""

    def newest_snapshot(self, model_sha256: str, /) -> tuple[str, bytes]:
        """Name and bytes of the newest forecast of a model."""


class Manifest(Protocol):
    """What a bundle says of itself."""

    @property
    def candidate(self) -> str:
        """Name of the algorithm."""

    @property
    def family(self) -> str:
        """Kind of algorithm."""

    @property
    def data_version(self) -> str:
        """What it was trained on."""

    @property
    def last_month(self) -> str:
        """Last month of the training window."""

    @property
    def code_commit(self) -> str:
        """Commit of the code that trained it."""


@dataclass(frozen=True)
class Models:
    """Registry and store, and how their bytes are checked and loaded.

    `load_bundle` and `load_snapshot` take bytes and the model's digest, and raise `MlError` for bytes that
    cannot be served.
    """

    registry: Registry
    store: Store
    load_bundle: Callable[[bytes, str], Manifest]
    load_snapshot: Callable[[bytes, str], object]


@dataclass(frozen=True)
class Candidate:
    """A verified model."""

    version: int
    sha256: str
    model: Model
    verdict: Verdict | None
    benchmark: tuple[Row, ...]
    calibration: papers.Calibration | None
    segments: papers.Segments | None
    data_quality: papers.DataQuality | None
    money: papers.Money | None


def verified(models: Models, registered: RegisteredModel) -> Candidate:
    """The candidate behind a registry entry.

    Raises:
        Refused: Its bundle or its snapshot is missing, damaged or not what the registry says.
    """
    manifest, kept = servable(models, registered.version, registered.sha256), models.registry.artifact
    if (manifest.candidate, manifest.data_version) != (registered.candidate, registered.data_version):
        said = f"{registered.candidate} on {registered.data_version}"
        held = f"{manifest.candidate} on {manifest.data_version}"
        message = (
            f"the registry says version {registered.version} is {said}, its bundle {held}; register it again"
        )
        raise Refused("registry_disagrees", message)
    return Candidate(
        version=registered.version,
        sha256=registered.sha256,
        model=Model(
            candidate=manifest.candidate,
            family=manifest.family,
            data_version=manifest.data_version,
            last_month=manifest.last_month,
            code_commit=manifest.code_commit,
            run_id=registered.run_id,
            registered_at=registered.created_at.isoformat(),
        ),
        verdict=_verdict(_paper(models.registry, registered.version, VERDICT)),
        benchmark=_benchmark(_paper(models.registry, registered.version, BENCHMARK)),
        calibration=papers.read(kept, registered.version, papers.CALIBRATION, papers.Calibration),
        segments=papers.read(kept, registered.version, papers.SEGMENTS, papers.Segments),
        data_quality=papers.read(kept, registered.version, papers.DATA_QUALITY, papers.DataQuality),
        money=papers.read(kept, registered.version, papers.MONEY, papers.Money),
    )


def servable(models: Models, version: int, sha256: str) -> Manifest:
    """The manifest of a model whose bundle and newest snapshot both exist and load.

    Raises:
        Refused: One of them does not, so pods with this release would never become ready.
    """
    try:
        manifest = models.load_bundle(models.store.get_bundle(sha256), sha256)
    except (BundleRefused, ModelNotFound) as error:
        raise Refused("bad_bundle", f"model {version} cannot be released: {error}") from error
    try:
        _, snapshot = models.store.newest_snapshot(sha256)
        models.load_snapshot(snapshot, sha256)
    except (SnapshotNotFound, BundleRefused) as error:
        raise Refused("no_snapshot", f"model {version} has no forecast to serve: {error}") from error
    return manifest


def _paper(registry: Registry, version: int, name: str) -> Any:
    """A JSON artifact of the training, None when it kept none."""
    try:
        return json.loads(registry.artifact(version, name))
    except (ModelNotFound, ValueError):
        return None


def _verdict(paper: Any) -> Verdict | None:
    if not isinstance(paper, Mapping):
        return None
    numbers = {name: paper.get(name) for name in ("ratio", "lower", "upper")}
    odd = [f"{name} is {value}" for name, value in numbers.items() if not _finite(value)]
    try:
        return Verdict(
            answer=str(paper.get("answer")),
            against=str(paper.get("against")),
            reasons=(*map(str, paper.get("reasons") or ()), *odd),
            **{name: value if _finite(value) else None for name, value in numbers.items()},
        )
    except (TypeError, ValidationError):
        return None


def _benchmark(paper: Any) -> tuple[Row, ...]:
    rows = [row for row in paper if isinstance(row, Mapping)] if isinstance(paper, list) else []
    return tuple({str(key): _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> str | bool | int | float | None:
    if value is None or isinstance(value, (str, bool, int)) or _finite(value):
        cell: str | bool | int | float | None = value
        return cell
    return str(value)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
