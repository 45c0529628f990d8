"""A small world for promotions: a local forge, a registry in memory, a real model store, a clock set by hand."""

import difflib
import json
import shutil
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from ml.errors import BundleRefused, ModelNotFound
from ml.model_store import ModelStore
from scripts.check.merging import Merged, merge
from scripts.evidence.candidate import BENCHMARK, VERDICT, Models
from scripts.evidence.papers import MONEY
from scripts.evidence.rules import rules_path_of
from scripts.forges.local import LocalForge
from scripts.history.git import Git
from scripts.history.repository import TRUNK, Repository
from scripts.manifests.render import NoKustomize
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import Opened, open_promotion
from scripts.release_file import Release, parse, path_of
from tests.scripts.watched import MemoryImages, MemoryMetrics

RELEASE = b"""# What runs here. Edited by scripts/promote.py, line by line.
apiVersion: v1
kind: ConfigMap
metadata:
  name: release
  annotations:
    config.kubernetes.io/local-config: "true"
data:
  image_tag: "unreleased"  # commit of the images

  model_version: "0"
  model_sha256: "0000000000000000000000000000000000000000000000000000000000000000"
"""
ANYTHING_GOES = b"""# What a release needs here.
needs_approval: false
images: false
"""
IMAGES = b"""# What a release needs here.
needs_approval: false
images: true
"""
APPROVED = b"""# What a release needs here.
needs_approval: true
images: false
"""
FROM_STAGING = b"""# What a release needs here.
source: staging
soak_minutes: 60
needs_approval: true
images: true
limits:
  p95_seconds: 0.5
  error_share: 0.01
  min_requests: 1000
  available_share: 0.99
"""
RULES = {"production": APPROVED}
"""Of an environment in a world that says nothing else; the others let anything in."""

DATA_VERSION = "2026-10.0123456789ab"
EARNED: dict[str, Any] = {
    "against": "naive",
    "rows": 600,
    "series": 100,
    "periods": ["2026-09", "2026-10"],
    "margins": [
        {
            "ratio": 0.9,
            "challenger": 0.81,
            "champion": 0.7,
            "gain": 0.11,
            "lower": 0.05,
            "upper": 0.17,
            "rules": {"point": 0.69, "safety_stock": None},
        }
    ],
}
"""What a training says of money."""


@dataclass(frozen=True)
class Entry:
    version: int
    sha256: str
    data_version: str
    candidate: str
    run_id: str
    created_at: datetime


@dataclass(frozen=True)
class TinyManifest:
    candidate: str
    family: str
    data_version: str
    last_month: str
    code_commit: str


@dataclass
class MemoryRegistry:
    entries: dict[int, Entry] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    papers: dict[tuple[int, str], bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def resolve(self, version_or_alias: str, /) -> Entry:
        self.asked.append(version_or_alias)
        version = (
            int(version_or_alias) if version_or_alias.isdecimal() else self.aliases.get(version_or_alias, 0)
        )
        if version not in self.entries:
            raise ModelNotFound(f"no {version_or_alias}")
        return self.entries[version]

    def artifact(self, version: int, name: str, /) -> bytes:
        if (version, name) not in self.papers:
            raise ModelNotFound(f"no {name}")
        return self.papers[version, name]

    def set_alias(self, alias: str, version: int, /) -> None:
        self.aliases[alias] = version


def load_bundle(data: bytes, digest: str) -> TinyManifest:
    if sha256(data).hexdigest() != digest:
        raise BundleRefused("other bytes")
    return TinyManifest(**json.loads(data))


def load_snapshot(data: bytes, digest: str) -> object:
    if data != f"snapshot of {digest}".encode():
        raise BundleRefused("snapshot of another model")
    return data


def overlay(environment: str) -> bytes:
    """A `kustomization.yaml` that says where an environment runs and where its images come from."""
    images = "".join(
        f"  - name: {name}\n    newName: registry.example.com/shop/{name}\n"
        for name in ("decision", "forecast")
    )
    head = f"kind: Kustomization\nnamespace: shop-{environment}\nresources:\n  - release.yaml\n"
    return f"{head}images:\n{images}".encode()


def release_diff(repository: Repository, base: str, head: str, environment: str) -> str:
    """In place of kustomize, whose start takes longer than most tests: how the release file changes."""
    sides = repository.blobs([f"{commit}:{path_of(environment)}" for commit in (base, head)])
    before, after = ((side or b"").decode().splitlines(keepends=True) for side in sides)
    return "".join(difflib.unified_diff(before, after, f"{environment} before", f"{environment} after"))


def no_kustomize(repository: Repository, base: str, head: str, environment: str) -> str:
    raise NoKustomize


class World:
    """Everything a promotion touches, and the verbs that tests say often."""

    def __init__(
        self,
        folder: Path,
        environments: tuple[str, ...] = ("local",),
        release: bytes = RELEASE,
        rules: Mapping[str, bytes] = RULES,
    ) -> None:
        self.folder, self.now = folder, datetime(2026, 11, 1, 9, tzinfo=UTC)
        for environment in environments:
            overlay_path = PurePosixPath(path_of(environment)).with_name("kustomization.yaml")
            files = {
                path_of(environment): release,
                rules_path_of(environment): rules.get(environment, ANYTHING_GOES),
                str(overlay_path): overlay(environment),
            }
            for path, data in files.items():
                file = folder / "tree" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        self.forge = LocalForge.create(folder / "forge.git", folder / "tree", "promoter", clock=self.tick)
        self.git = Git(folder / "forge.git")
        (folder / "models").mkdir()
        self.registry, self.store = MemoryRegistry(), ModelStore(folder / "models")
        self.models = Models(self.registry, self.store, load_bundle, load_snapshot)
        self.images, self.metrics = MemoryImages(), MemoryMetrics(self.tick)
        self.promoted: dict[int, Merged] = {}

    def copied(self, folder: Path) -> "World":
        """The same world again in a new folder; what happens there does not happen here."""
        for part in ("forge.git", "models"):
            shutil.copytree(self.folder / part, folder / part)
        other = copy(self)
        other.registry, other.promoted = deepcopy(self.registry), dict(self.promoted)
        other.images, other.metrics = deepcopy(self.images), self.metrics.copied(other.tick)
        other.folder, other.git, other.store = (
            folder,
            Git(folder / "forge.git"),
            ModelStore(folder / "models"),
        )
        other.forge = LocalForge(folder / "forge.git", "promoter", clock=other.tick)
        other.models = Models(other.registry, other.store, load_bundle, load_snapshot)
        return other

    def tick(self) -> datetime:
        """Every look at the clock is a second later than the one before."""
        self.now += timedelta(seconds=1)
        return self.now

    @property
    def bridge(self) -> Bridge:
        return Bridge(self.forge, self.models, self.tick, release_diff, self.images, self.metrics)

    def train(
        self,
        version: int,
        *,
        verdict: Any = "good",
        benchmark: Any = "good",
        money: Any = "good",
        snapshot: bool = True,
    ) -> str:
        """Register a model and point `challenger` at it; its sha256 comes back."""
        manifest = TinyManifest("mix", "mixture", DATA_VERSION, "2026-10", f"{version:040x}")
        digest = self.store.put_bundle(json.dumps(vars(manifest)).encode())
        if snapshot:
            self.store.put_snapshot(digest, DATA_VERSION, f"snapshot of {digest}".encode())
        at = datetime(2026, 11, 1, tzinfo=UTC)
        self.registry.entries[version] = Entry(version, digest, DATA_VERSION, "mix", f"run-{version}", at)
        self.registry.aliases["challenger"] = version
        good = {
            "answer": "better",
            "against": "naive",
            "ratio": 0.9,
            "lower": 0.85,
            "upper": 0.95,
            "reasons": [],
        }
        rows = [
            {"candidate": "mix", "wape": 0.4, "coverage80": 0.8},
            {"candidate": "naive", "wape": 0.6, "coverage80": None},
        ]
        papers = ((VERDICT, verdict, good), (BENCHMARK, benchmark, rows), (MONEY, money, EARNED))
        for name, paper, fine in papers:
            if paper is not None:
                self.registry.papers[version, name] = json.dumps(fine if paper == "good" else paper).encode()
        return digest

    def open(
        self,
        model: str | None = "challenger",
        image_tag: str | None = "abc1234",
        environment: str = "local",
        **more: Any,
    ) -> Opened:
        return open_promotion(
            self.bridge, Wish(environment, more.pop("requested_by", "ada"), model, image_tag, **more)
        )

    def merge(self, number: int | None = None, environment: str = "local") -> Merged:
        return merge(self.bridge, environment, number)

    def promote(self, version: int, image_tag: str = "abc1234", environment: str = "local") -> Merged:
        """Train, open and merge; `promoted` keeps the outcome by version."""
        if version not in self.registry.entries:
            self.train(version)
        opened = self.open(str(version), image_tag, environment)
        assert opened.pull_request is not None
        self.promoted[version] = self.merge(opened.pull_request.number, environment)
        return self.promoted[version]

    def soak(self, environment: str = "staging", minutes: float = 61) -> None:
        """Let the pods of an environment serve what is live there for some minutes."""
        self.metrics.serve(f"shop-{environment}", self.live(environment), self.now)
        self.now += timedelta(minutes=minutes)

    def file(self, environment: str = "local") -> bytes:
        return self.git.read(TRUNK, path_of(environment)) or b""

    def live(self, environment: str = "local") -> Release:
        return parse(self.file(environment))

    def commit_as_person(self, message: str, files: dict[str, bytes] | None = None) -> str:
        """A commit on main as anybody with a clone makes it; its id comes back."""
        clone = self._clone()
        for path, data in (files or {}).items():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_bytes(data)
        Git(clone).run("add", "--all")
        return self._commit_and_push(clone, "commit", "--quiet", "--allow-empty", "-m", message)

    def revert_as_person(self, commit: str) -> str:
        """A plain `git revert` on main, pushed; the new commit's id comes back."""
        return self._commit_and_push(self._clone(), "revert", "--no-edit", commit)

    def edit_body(self, number: int, body: str) -> None:
        """Change the text of a pull request as the forge's page lets anybody do."""
        sha, record = self.forge._stored(number)
        self.forge._store(sha, replace(record, body=body))

    def refs(self) -> dict[str, str]:
        return self.git.refs("refs/")

    def _clone(self) -> Path:
        clone = self.folder / f"clone-{self.tick():%H%M%S}"
        Git(self.folder).run("clone", "--quiet", self.forge.remote, str(clone))
        return clone

    def _commit_and_push(self, clone: Path, *command: str) -> str:
        date = f"{int(self.tick().timestamp())} +0000"
        env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        person = ("-c", "user.name=Bo", "-c", "user.email=bo@shop.invalid")
        Git(clone).run(*person, *command, env=env)
        Git(clone).run("push", "--quiet", "origin", "HEAD:main")
        return Git(clone).text("rev-parse", "HEAD")
