"""A registry of images and a Prometheus in memory, behind the same protocols as the real ones."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx

from scripts.errors import Refused
from scripts.evidence.prometheus import Series
from scripts.release_file import Release

SCRAPE_SECONDS = 15
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class MemoryImages:
    """Every image has every tag, unless it is `missing`; `moved` ones have other bytes than before.

    `signer`, where there is one, makes the bundles beside an image of its digest.
    """

    missing: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    signer: Callable[[str], list[bytes]] | None = None

    def bundles(self, image: str, digest: str, predicate: str, /) -> list[bytes]:
        return self.signer(digest) if self.signer else []

    def digest(self, image: str, tag: str, /) -> str:
        name = f"{image}:{tag}"
        self.asked.append(name)
        if name in self.missing:
            raise Refused("no_image", f"image {name} does not exist")
        return f"sha256:{sha256(f'{name} {name in self.moved}'.encode()).hexdigest()}"


@dataclass(frozen=True)
class Served:
    """A pod that serves a release, scraped every 15 seconds."""

    namespace: str
    pod: str
    release: Release
    since: datetime
    until: datetime = NEVER

    def points(self, start: float, end: float) -> tuple[tuple[float, float], ...]:
        first, last = max(start, self.since.timestamp()), min(end, self.until.timestamp())
        scrapes = range(int(first), int(last) + 1)
        return tuple((float(second), 1.0) for second in scrapes if second % SCRAPE_SECONDS == 0)


@dataclass
class MemoryMetrics:
    """A Prometheus that saw the pods it is told of; every number can be set."""

    clock: Callable[[], datetime]
    pods: list[Served] = field(default_factory=list)
    statuses: dict[str, float] = field(default_factory=lambda: {"200": 36_000.0, "503": 12.0})
    p95_seconds: float = 0.045
    available_share: float = 1.0
    drift: str = "none"
    asked: list[str] = field(default_factory=list)

    def copied(self, clock: Callable[[], datetime]) -> "MemoryMetrics":
        return replace(self, clock=clock, pods=list(self.pods), statuses=dict(self.statuses), asked=[])

    def serve(self, namespace: str, release: Release, since: datetime, pods: int = 2) -> None:
        """From then on pods of this release serve, and no others."""
        self.pods = [_ended(pod, namespace, since) for pod in self.pods]
        self.pods += [Served(namespace, f"forecast-{index}", release, since) for index in range(pods)]

    def now(self) -> datetime:
        return self.clock()

    def matrix(self, query: str, at: datetime, /) -> tuple[Series, ...]:
        self.asked.append(query)
        namespace, seconds = _match(r'namespace="([^"]*)"', query), float(_match(r"\[(\d+)s\]", query))
        end, found = at.timestamp(), []
        for pod in self.pods:
            labels = {"namespace": pod.namespace, "pod": pod.pod}
            labels |= {key: str(value) for key, value in pod.release.model_dump().items()}
            points = pod.points(end - seconds, end)
            found += [Series(labels, points)] if pod.namespace == namespace and points else []
        return tuple(found)

    def vector(self, query: str, at: datetime, /) -> tuple[Series, ...]:
        self.asked.append(query)
        now = at.timestamp()
        if query.startswith("sum by (status)"):
            found = [({"status": status}, count) for status, count in self.statuses.items()]
        elif query.startswith("max by (state)"):
            found = [({"state": state}, float(state == self.drift)) for state in ("none", "found", "unknown")]
        else:
            value = self.p95_seconds if query.startswith("histogram_quantile") else self.available_share
            found = [({}, value)]
        return tuple(Series(labels, ((now, value),)) for labels, value in found)


def http_answer(metrics: MemoryMetrics, request: httpx.Request) -> dict[str, Any]:
    """The document that Prometheus' HTTP API would send."""
    query = request.url.params["query"]
    if query == "time()":
        now = metrics.now().timestamp()
        return _document("scalar", [now, str(now)])
    at = datetime.fromtimestamp(float(request.url.params["time"]), UTC)
    if query.startswith("release_info"):
        series = metrics.matrix(query, at)
        found = [{"metric": dict(s.labels), "values": [[t, str(v)] for t, v in s.points]} for s in series]
        return _document("matrix", found)
    points = metrics.vector(query, at)
    values = [{"metric": dict(s.labels), "value": [s.points[0][0], str(s.value)]} for s in points]
    return _document("vector", values)


def _document(kind: str, result: list[Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def _ended(pod: Served, namespace: str, at: datetime) -> Served:
    if pod.namespace != namespace or pod.until < at:
        return pod
    return Served(pod.namespace, pod.pod, pod.release, pod.since, at - timedelta(seconds=1))


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in {text}"
    return found[1]
