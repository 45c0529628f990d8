"""What was released, as the commits of a release file tell it."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.console.evidence import Evidence
from scripts.history.git import Commit
from scripts.promotion.rollback import reason_of


class Release(BaseModel):
    """What an environment runs; model version 0 means none yet."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    image_tag: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")  # it becomes part of a path in Git
    model_version: int
    model_sha256: str

    @property
    def name(self) -> str:
        """`<model version>-<image tag>`, the name of its evidence."""
        return f"{self.model_version}-{self.image_tag}"


@dataclass(frozen=True)
class Deployment:
    """A commit on the trunk that changed the release; `before` is what it replaced.

    `is_rollback` says that an older model came back, or with the same model an image that ran before. `paper` is what
    `packed_evidence` made: ten thousand of them are some megabytes, and most are never looked at.
    """

    commit: str
    at: datetime
    author: str
    subject: str
    release: Release
    before: Release | None
    is_rollback: bool
    paper: bytes = b""
    message: str = ""

    @property
    def evidence(self) -> Evidence | None:
        """What spoke for it, None where it left none that can be read."""
        return _unpacked(self.paper) if self.paper else None

    @property
    def requested_by(self) -> str | None:
        """Who asked for it, by the commit or by the evidence."""
        found = self._written.trailer("Requested-by")
        return found or (self.evidence.requested_by if self.evidence else None) or None

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who approved it, by the commit."""
        return self._written.trailers("Approved-by")

    @property
    def reason(self) -> str:
        """Why it was rolled back, where promote wrote the commit."""
        return reason_of(self._written) if self.is_rollback else ""

    @property
    def _written(self) -> Commit:
        return Commit(self.commit, self.at, self.message)

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """(name, old, new) of what moved."""
        if self.before is None:
            return []
        pairs = (("model", "model_version"), ("image", "image_tag"))
        old, new = self.before.model_dump(), self.release.model_dump()
        return [(name, str(old[key]), str(new[key])) for name, key in pairs if old[key] != new[key]]


@dataclass(frozen=True)
class History:
    """Deployments of one environment, newest first; `is_whole` once the oldest are among them."""

    deployments: tuple[Deployment, ...] = ()
    is_whole: bool = True

    @property
    def live(self) -> Deployment | None:
        """What Git says should run now."""
        return self.deployments[0] if self.deployments else None

    @cached_property
    def models(self) -> list[tuple[str, Deployment]]:
        """(release name, its first deployment) of everything that ran with evidence, newest model first."""
        found = {each.release.name: each for each in self.deployments if each.paper}
        return sorted(found.items(), key=lambda item: (-item[1].release.model_version, item[0]))


def deployments_of(
    commits: Sequence[tuple[Sequence[str], Release]], papers: Iterable[bytes]
) -> Iterator[Deployment]:
    """Deployments newest first, from commits newest first; a commit that changed no value is passed over.

    Args:
        commits: (id, ISO date, author, subject, message) and the release that the commit left.
        papers: The packed evidence of each commit, empty where it left none.
    """
    found: list[Deployment] = []
    earlier: set[str] = set()
    for ((commit, at, author, subject, message), release), paper in reversed(
        list(zip(commits, papers, strict=True))
    ):
        before = found[-1].release if found else None
        if release == before:
            continue
        back = before is not None and _went_back(before, release, earlier)
        moment = datetime.fromisoformat(at)
        found.append(Deployment(commit, moment, author, subject, release, before, back, paper, message))
        earlier.add(release.name)
    return reversed(found)


def _went_back(before: Release, after: Release, earlier: Collection[str]) -> bool:
    same = after.model_version == before.model_version
    return after.model_version < before.model_version or (same and after.name in earlier)


def parse_release(data: bytes) -> Release | None:
    """The release in a file's bytes, None where it cannot be read."""
    try:
        return Release.model_validate(yaml.load(data, yaml.CSafeLoader)["data"])
    except (yaml.YAMLError, ValidationError, KeyError, TypeError):
        return None


def packed_evidence(data: bytes) -> bytes:
    """The evidence in a file's bytes, made small; empty where there is none or another version wrote it."""
    return zlib.compress(data) if data and _evidence(data) is not None else b""


@lru_cache(maxsize=256)  # a page looks at each of its own several times
def _unpacked(paper: bytes) -> Evidence | None:
    return _evidence(zlib.decompress(paper))


def _evidence(data: bytes) -> Evidence | None:
    try:
        return Evidence.model_validate_json(data)
    except ValidationError:
        return None
