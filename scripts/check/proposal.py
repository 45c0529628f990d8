"""Whether a pull request is exactly what promote writes for it now: everything is computed anew.

The evidence is compared with the registry, the model's bytes, the images and the environment it came from; the
release file, trailers, title and text with what follows from the evidence; the people with each other. Judged is
against the trunk of now, so what was refused passes once its cause is gone.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from scripts.check.case import Case, case_of, check_paths, compare
from scripts.check.evidence import check_world, evidence_of
from scripts.check.not_as_promised import NotAsPromised, refuse_other
from scripts.check.people import check_people
from scripts.errors import Broken
from scripts.evidence.candidate import servable
from scripts.forges.forge import PullRequest
from scripts.history.repository import Repository
from scripts.promotion import rollback
from scripts.promotion.bridge import Bridge
from scripts.promotion.opening import manifest_diffs, proposal_of
from scripts.promotion.proposal import PROMOTION, ROLLBACK, Kind, Proposal, branches_of
from scripts.release_file import Release, path_of
from scripts.status.report import environments


@dataclass(frozen=True)
class Checked:
    """A pull request that may be merged.

    Attributes:
        alters: The environments whose rendered manifests it changes; None where nothing could render them.
        awaits: What is still missing before the merge, None when nothing is.
    """

    kind: Kind
    environment: str
    release: Release
    alters: tuple[str, ...] | None
    awaits: str | None

    def to_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "kind": self.kind,
            "environment": self.environment,
            "release": self.release.model_dump(),
            "alters": None if self.alters is None else list(self.alters),
            "awaits": self.awaits,
        }


def checked(
    bridge: Bridge, repository: Repository, pull_request: PullRequest, environment: str, *, approved: bool
) -> Checked:
    """The pull request, once everything about it was found to be as promote writes it.

    Args:
        bridge: Forge, registry, store and images to compare with.
        repository: A copy of the forge's.
        pull_request: Which.
        environment: The one that it may change.
        approved: Whether it must have the approval that its environment needs, as before a merge.

    Raises:
        Refused: Something differs, is missing or comes from the wrong person.
        Broken: The registry, the store or kustomize cannot be asked.
    """
    kind = kind_of(pull_request, environment)
    case = case_of(replace(bridge, render=cache(bridge.render)), repository, pull_request, environment)
    if kind == PROMOTION:
        evidence = evidence_of(case)
        check_world(case, evidence)
        compare(case, proposal_of(case.bridge, repository, case.file, evidence))
    else:
        evidence = None
        compare(case, written_rollback(case))
    alters = _alters(case)
    awaits = check_people(pull_request, case.commit, evidence, case.rules, approved=approved)
    return Checked(kind, environment, case.release, alters, awaits)


def kind_of(pull_request: PullRequest, environment: str) -> Kind:
    """Whether it promotes or rolls back, by its branch, which only promote may push."""
    for kind in (PROMOTION, ROLLBACK):
        if pull_request.branch.startswith(branches_of(environment, kind)):
            return kind
    raise NotAsPromised(pull_request.number, f"comes from {pull_request.branch!r}, not from promote")


def written_rollback(case: Case) -> Proposal:
    """What promote writes for the rollback that is due now, which this should be."""
    check_paths(case, {path_of(case.environment)})
    requested_by = case.commit.trailer("Requested-by")
    if requested_by is None:
        raise NotAsPromised(case.number, "does not say who asked: one trailer Requested-by is needed")
    reason = rollback.reason_of(case.commit)
    way = rollback.way_back(case.repository, case.environment, requested_by, reason)
    refuse_other(case.number, {"release": (case.release, way.earlier)})
    for commit in way.reverts:
        if f"This reverts commit {commit}." not in case.commit.message:
            raise NotAsPromised(case.number, f"does not say that it reverts {commit}")
    rollback.refuse_lost_images(case.bridge, case.repository, case.rules, way)
    version, sha256 = case.release.model_version, case.release.model_sha256
    data_version = servable(case.bridge.models, version, sha256).data_version
    return rollback.proposal_of(case.bridge, case.repository, case.file, way, data_version)


def _alters(case: Case) -> tuple[str, ...] | None:
    """The environments whose manifests change: its own one, and those without a release that follow its release."""
    diffs = manifest_diffs(case.bridge, case.repository, case.environment, case.commit.id)
    if diffs is None:
        if case.rules.images:
            raise Broken(f"kustomize is needed to check {case.environment}; `make tools` builds it")
        return None
    alters = tuple(name for name, diff in diffs.items() if diff)
    released = environments(case.repository, case.commit.id)
    others = [name for name in alters if name in released and name != case.environment]
    if others:
        raise NotAsPromised(case.number, f"alters the manifests of {others[0]} too")
    if not alters and case.rules.images:
        raise NotAsPromised(
            case.number, f"changes no manifest of {case.environment}, so it would deploy nothing"
        )
    return alters
