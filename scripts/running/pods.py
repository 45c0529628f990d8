"""What the pods of a namespace run and say they serve, against the release that Git names."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError

from scripts.release_file import Release
from scripts.running.kubernetes import Cluster, NoAnswer, Pod
from scripts.running.rollouts import Rolling, rollouts

REPORTING = "forecast"
"""The service whose pods say at `/model-info` which image and model they serve."""

_ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Expected:
    """What should run in a namespace.

    Attributes:
        images: Service to image, `registry/name:tag`.
        digests: Service to `sha256:…` as the evidence has it; empty where none was looked up.
        rolled: Services whose pods an Argo Rollout brings.
    """

    namespace: str
    release: Release
    images: Mapping[str, str]
    digests: Mapping[str, str]
    rolled: frozenset[str] = field(default_factory=frozenset)

    def is_tried_by(self, rolling: Rolling) -> bool:
        """Whether the newest pods of a Rollout are of this release."""
        model = (str(self.release.model_version), self.release.model_sha256)
        return rolling.image == self.images.get(rolling.name) and (
            rolling.name != REPORTING or rolling.model == model
        )


@dataclass(frozen=True)
class Problem:
    """What is not as it should be; `lasting` when waiting cannot change it."""

    text: str
    lasting: bool = False


@dataclass(frozen=True)
class Look:
    """What one look at the namespace found."""

    pods: tuple[Pod, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def processes(self) -> frozenset[tuple[str, int]]:
        """What must not change in the quiet time: a pod that starts again is another process."""
        return frozenset((pod.uid, pod.restarts) for pod in self.pods)


def look(cluster: Cluster, expected: Expected) -> Look:
    """Everything that is not as expected now, by service and pod."""
    rolling = rollouts(cluster, expected.namespace) if expected.rolled else []
    found = {each.name: each for each in rolling if each.name in expected.rolled}
    pods = [
        pod
        for pod in cluster.pods(expected.namespace)
        if pod.service in expected.images and (pod.service not in found or found[pod.service].leads_to(pod))
    ]
    there = {pod.service for pod in pods if not pod.ending}
    problems = [Problem(f"{service} has no pod") for service in sorted(set(expected.images) - there)]
    problems += _unfinished(expected, found)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
        for problem in asking.map(lambda pod: _problem(cluster, expected, pod), pods):
            problems += [problem] if problem else []
    return Look(tuple(pods), tuple(problems))


def _unfinished(expected: Expected, found: Mapping[str, Rolling]) -> list[Problem]:
    """Rollouts that are not at their end; one that gave this release up stays so until another comes."""
    problems = [
        Problem(each.told, lasting=each.aborted and expected.is_tried_by(each))
        for each in found.values()
        if not each.done
    ]
    return problems + [Problem(f"{name} has no Rollout") for name in sorted(expected.rolled - found.keys())]


def _problem(cluster: Cluster, expected: Expected, pod: Pod) -> Problem | None:
    """The first thing that is wrong with a pod."""
    wanted = expected.images[pod.service]
    if pod.ending:
        return Problem(f"{pod.name} is still ending")
    if pod.image != wanted:
        return Problem(f"{pod.name} runs {pod.image}, not {wanted}")
    if not pod.image_id:
        return Problem(f"{pod.name} has not started")
    other = _other_bytes(expected, pod)
    if other or not pod.ready:
        return other or Problem(f"{pod.name} is not ready")
    return _other_model(cluster, expected, pod)


def _other_bytes(expected: Expected, pod: Pod) -> Problem | None:
    """Whether the node pulled another image under the same tag than the evidence speaks of."""
    if not expected.digests:
        return None
    wanted, found = expected.digests.get(pod.service), pod.image_id.rpartition("@")[2]
    if wanted is None:
        return Problem(f"the evidence has no digest of {pod.service}, which {pod.name} runs", lasting=True)
    if found == wanted:
        return None
    moved = f"tag {expected.release.image_tag} was moved"
    return Problem(f"{pod.name} runs {found}, the evidence says {wanted}: {moved}", lasting=True)


class _Reported(BaseModel):
    """What a pod says it serves, of which more may come."""

    model_config = ConfigDict(protected_namespaces=(), strict=True)

    image_tag: str
    model_version: int
    model_sha256: str


def _other_model(cluster: Cluster, expected: Expected, pod: Pod) -> Problem | None:
    """Whether a forecast pod itself says something else than the release."""
    if pod.service != REPORTING:
        return None
    try:
        reported = _Reported.model_validate_json(cluster.get(expected.namespace, pod, "/model-info"))
    except NoAnswer as error:
        return Problem(f"{pod.name} {error}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        return Problem(f"{pod.name} answers what cannot be read at {where}: {first['msg']}")
    for name, value in expected.release.model_dump().items():
        if getattr(reported, name) != value:
            return Problem(f"{pod.name} reports {name} {getattr(reported, name)!s:.80}, not {value}")
    return None
