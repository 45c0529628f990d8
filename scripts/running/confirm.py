"""Confirming a release: it runs when every pod says so twice, and then the alias follows."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from scripts.errors import Broken, Refused
from scripts.evidence.candidate import Registry
from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.past_evidence import evidence_that_brought
from scripts.history.repository import TRUNK, Repository, temporary_copy
from scripts.manifests.render import NoKustomize, build_at
from scripts.release_file import Release, parse
from scripts.running import aliases
from scripts.running.kubernetes import SERVICE_LABEL, Cluster, ClusterUnavailable
from scripts.running.pods import REPORTING, Expected, Look, Problem, look

RELEASE_ANNOTATION = "purchase-prediction.example/release"

_KINDS_WITH_PODS = ("Deployment", "Rollout", "StatefulSet")


@dataclass(frozen=True)
class Patience:
    """How long to wait for the pods, how long they must then stay as they are, and how often to look."""

    timeout_seconds: float = 300.0
    quiet_seconds: float = 10.0
    poll_seconds: float = 1.0


@dataclass(frozen=True)
class Clock:
    """Time in seconds, and how to let some pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Confirmed:
    """A release that every pod serves, and the model that the alias named before."""

    expected: Expected
    look: Look
    seconds: float
    alias_named: int | None

    def to_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "release": self.expected.release.model_dump(),
            "namespace": self.expected.namespace,
            "pods": [
                {"name": pod.name, "service": pod.service, "image_id": pod.image_id} for pod in self.look.pods
            ],
            "digests_compared": bool(self.expected.digests),
            "seconds": round(self.seconds, 1),
        }


class NotServed(Refused):
    """The pods do not (all, still) serve the release."""

    def __init__(self, expected: Expected, seconds: float, problems: Iterable[Problem]) -> None:
        told = "; ".join(problem.text for problem in problems)
        where = f"{expected.namespace} does not serve {expected.release.name} after {seconds:.0f} s"
        super().__init__("not_served", f"{where}: {told}")


def expected_of(repository: Repository, environment: str) -> Expected:
    """What an environment should run now, by its rendered manifests and the evidence of its release.

    Raises:
        Refused: It has no model yet, or its manifests name no forecast service that could report one.
        Broken: There is no kustomize to render them.
    """
    release = parse(deployment_history.live_file(repository, environment, TRUNK))
    if not release.has_model:
        raise Refused("no_model", f"{environment} has no model yet; there is nothing to confirm")
    try:
        manifests = build_at(repository, TRUNK, environment)
    except NoKustomize as error:
        raise Broken(str(error)) from error
    workloads = [
        each
        for each in yaml.safe_load_all(manifests)
        if each and each["kind"] in _KINDS_WITH_PODS and not _is_candidate(each)
    ]
    images = dict(_main_image(each) for each in workloads if "template" in each["spec"])
    rolled = frozenset(each["metadata"]["name"] for each in workloads if each["kind"] == "Rollout")
    namespaces = sorted({str(each["metadata"].get("namespace")) for each in workloads})
    if REPORTING not in images or len(namespaces) != 1:
        found = f"{', '.join(sorted(images)) or 'nothing'} in {', '.join(namespaces) or 'no namespace'}"
        raise Refused(
            "not_one_place", f"{environment} runs {found}; confirm needs {REPORTING} in one namespace"
        )
    history = deployment_history.read(repository, environment, TRUNK)
    evidence = evidence_that_brought(repository, history, release)
    return Expected(namespaces[0], release, images, evidence.images if evidence else {}, rolled)


def _is_candidate(workload: dict[str, Any]) -> bool:
    """Whether it runs beside the release instead of serving it, as components/shadow says."""
    return bool((workload["metadata"].get("annotations") or {}).get(RELEASE_ANNOTATION) == "candidate")


def _main_image(workload: dict[str, Any]) -> tuple[str, str]:
    """Service and image of a workload; its main container is called like the service."""
    template = workload["spec"]["template"]
    service = template["metadata"]["labels"][SERVICE_LABEL]
    containers = template["spec"]["containers"]
    main = next((each for each in containers if each["name"] == service), containers[0])
    return service, main["image"]


def confirm(
    forge: Forge,
    cluster: Cluster,
    environment: str,
    *,
    registry: Callable[[], Registry],
    patience: Patience,
    tell: Callable[[str], None],
) -> Confirmed:
    """Wait until an environment serves its release; then the alias mirrors production's.

    Args:
        forge: Where the release is read, before and after.
        cluster: Where the pods are.
        environment: Whose release.
        registry: Made only if an alias has to follow.
        patience: How long to wait.
        tell: Takes one line about what is missing, whenever that changes.

    Raises:
        NotServed: Patience ended first, or a pod runs other bytes than the evidence names.
        Refused: Another release was merged meanwhile.
    """
    with temporary_copy(forge) as repository:
        expected = expected_of(repository, environment)
        wait = Wait(cluster, expected, patience, tell)
        found, seconds = wait.until_served()
        repository.fetch()
        _still_wanted(repository, environment, expected.release)
    named = aliases.mirror(registry(), expected.release) if environment == aliases.PRODUCTION else None
    return Confirmed(expected, found, seconds, named)


def _still_wanted(repository: Repository, environment: str, release: Release) -> None:
    now = parse(deployment_history.live_file(repository, environment, TRUNK))
    if now != release:
        message = f"{environment} became {now.name} while {release.name} was being confirmed; confirm again"
        raise Refused("release_changed", message)


@dataclass
class Wait:
    """Looks at a cluster until it serves what is expected, or patience ends."""

    cluster: Cluster
    expected: Expected
    patience: Patience
    tell: Callable[[str], None]
    clock: Clock = field(default_factory=Clock)
    _told: str = ""

    def until_served(self) -> tuple[Look, float]:
        """The last look and the seconds it took.

        Everything was as expected at every look of the quiet time, and the processes stayed the same.

        Raises:
            NotServed: Patience ended, or a problem is there that time does not heal.
            ClusterUnavailable: At the end the API server still could not be asked.
        """
        start = self.clock.now()
        first, since = Look(), start
        while True:
            found, unavailable = self._look()
            now = self.clock.now()
            if found.problems or found.processes != first.processes:
                first, since = (Look() if found.problems else found), now
            elif now - since >= self.patience.quiet_seconds:
                return found, now - start
            if now - start >= self.patience.timeout_seconds or any(each.lasting for each in found.problems):
                raise unavailable or NotServed(
                    self.expected, now - start, found.problems or self._not_quiet()
                )
            self._say(found)
            self.clock.sleep(self.patience.poll_seconds)

    def _look(self) -> tuple[Look, ClusterUnavailable | None]:
        """An API server that is away for a moment is a reason to look again."""
        try:
            return look(self.cluster, self.expected), None
        except ClusterUnavailable as error:
            return Look(problems=(Problem(str(error)),)), error

    def _not_quiet(self) -> tuple[Problem, ...]:
        return (Problem(f"its pods did not stay the same for {self.patience.quiet_seconds:g} s"),)

    def _say(self, found: Look) -> None:
        """Tell what is missing, once per change."""
        text = "; ".join(problem.text for problem in found.problems)
        text = text or f"{len(found.pods)} pods serve it; quiet for {self.patience.quiet_seconds:g} s more"
        if text != self._told:
            self.tell(text)
            self._told = text
