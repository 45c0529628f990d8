"""Whether a pull request is exactly what promote would have written, recomputed from Git alone."""

from scripts import deployment_history
from scripts.errors import Refused
from scripts.evidence import Evidence
from scripts.forge import PullRequest
from scripts.git import Commit
from scripts.proposal import PROMOTION, ROLLBACK, branches_of
from scripts.pull_request import evidence_in
from scripts.release_file import Release, edit, evidence_path_of, parse, path_of
from scripts.repository import TRUNK, Repository

NEEDS_APPROVAL = frozenset({"production"})


class NotAsPromised(Refused):
    """The pull request is not what promote writes for it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__("check_failed", f"#{number} {message}")


def checked(repository: Repository, pull_request: PullRequest, environment: str) -> Release:
    """The release that merging would bring.

    Raises:
        Refused: It touches more than the release, its evidence, trailers, text and history do not agree, or an
            approval is missing or comes from who asked.
    """
    commit = repository.commit(pull_request.head)
    live = deployment_history.live_file(repository, environment, TRUNK)
    proposed = repository.read(commit.id, path_of(environment)) or b""
    release = parse(proposed)
    if edit(live, release) != proposed:
        raise NotAsPromised(pull_request.number, "changes more than the values of the release, or is stale")
    if pull_request.branch.startswith(branches_of(environment, PROMOTION)):
        _check_promotion(repository, pull_request, commit, environment, release)
    elif pull_request.branch.startswith(branches_of(environment, ROLLBACK)):
        _check_rollback(repository, pull_request, commit, environment, release)
    else:
        raise NotAsPromised(pull_request.number, f"comes from {pull_request.branch!r}, not from promote")
    _check_approval(pull_request, commit, environment)
    return release


def _check_promotion(
    repository: Repository, pull_request: PullRequest, commit: Commit, environment: str, release: Release
) -> None:
    number, path = pull_request.number, evidence_path_of(environment, release)
    _check_paths(repository, number, commit, {path_of(environment), path})
    evidence = Evidence.from_bytes(repository.read(commit.id, path) or b"")
    live = parse(deployment_history.live_file(repository, environment, TRUNK))
    facts = {
        "environment": (evidence.environment, environment),
        "release": (evidence.release, release),
        "replaced release": (evidence.replaces, live),
        "JSON block": (evidence_in(pull_request.body), evidence),
        "trailer Evidence-Sha256": (commit.trailer("Evidence-Sha256"), evidence.sha256),
        "trailer Requested-by": (commit.trailer("Requested-by"), evidence.requested_by),
        **_release_trailers(commit, release),
    }
    _check_equal(number, facts)
    closed = [gate.name for gate in evidence.gates if not gate.opens]
    if closed or not evidence.gates:
        raise NotAsPromised(number, f"has a closed gate: {', '.join(closed) or 'none was judged'}")
    hold = deployment_history.read(repository, environment, TRUNK).hold_on(release)
    if hold:
        raise NotAsPromised(number, f"brings back what is held: {hold}")


def _check_rollback(
    repository: Repository, pull_request: PullRequest, commit: Commit, environment: str, release: Release
) -> None:
    _check_paths(repository, pull_request.number, commit, {path_of(environment)})
    undone = deployment_history.read(repository, environment, TRUNK).to_revert()
    wanted = undone[-1].before if undone else None
    facts = {"release": (release, wanted), **_release_trailers(commit, release)}
    _check_equal(pull_request.number, facts)
    for deployment in undone:
        if f"This reverts commit {deployment.commit.id}." not in commit.message:
            raise NotAsPromised(pull_request.number, f"does not say that it reverts {deployment.commit.id}")


def _release_trailers(commit: Commit, release: Release) -> dict[str, tuple[object, object]]:
    wanted = {
        "Model-Version": str(release.model_version),
        "Model-Sha256": release.model_sha256,
        "Image-Tag": release.image_tag,
    }
    return {f"trailer {key}": (commit.trailer(key), value) for key, value in wanted.items()}


def _check_paths(repository: Repository, number: int, commit: Commit, allowed: set[str]) -> None:
    base = repository.text("merge-base", TRUNK, commit.id)
    touched = set(repository.changed_paths(base, commit.id))
    if touched != allowed:
        odd = min(touched ^ allowed)
        what = "touches" if odd in touched else "does not touch"
        raise NotAsPromised(number, f"{what} {odd}")


def _check_equal(number: int, facts: dict[str, tuple[object, object]]) -> None:
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise NotAsPromised(number, f"has another {name}: {found!s:.200}, not {wanted!s:.200}")


def _check_approval(pull_request: PullRequest, commit: Commit, environment: str) -> None:
    requester = commit.trailer("Requested-by")
    if requester is None:
        raise NotAsPromised(pull_request.number, "does not say who asked: one trailer Requested-by is needed")
    if requester in pull_request.approved_by:
        raise NotAsPromised(
            pull_request.number, f"was asked for and approved by {requester}; another person approves"
        )
    if environment in NEEDS_APPROVAL and not pull_request.approved_by:
        raise NotAsPromised(pull_request.number, f"needs an approval before it reaches {environment}")
