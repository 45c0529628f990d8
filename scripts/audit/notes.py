"""Commits that change no release and yet may alter what an environment runs, or what may be proposed for it."""

from collections.abc import Iterator

from scripts.audit.pulls import Pulls
from scripts.audit.report import Note
from scripts.evidence.rules import rules_path_of
from scripts.forges.forge import PullRequest
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.git import Commit
from scripts.history.trunk_log import TrunkCommit
from scripts.release_file import evidence_folder_of, path_of

SHARED = ("environments/base/", "environments/components/")
"""What every environment is rendered from, beside its own folder."""


def paths_of(environment: str) -> tuple[str, ...]:
    """Everything that an environment's manifests, release, rules and evidence are made of."""
    return f"environments/{environment}/", *SHARED


def of_commit(
    change: TrunkCommit, environment: str, pull_request: PullRequest | None, *, deploys: bool
) -> Iterator[Note]:
    """What else a commit changed, other than in the first of all; by paths, nothing is rendered."""
    release, rules, evidence = (
        path_of(environment),
        rules_path_of(environment),
        evidence_folder_of(environment),
    )
    mine = sorted(path for path in change.files if path.startswith(paths_of(environment)))
    manifests = [
        path for path in mine if path not in {release, rules} and not path.startswith(f"{evidence}/")
    ]
    whats = {
        "rules": [rules] if rules in mine else [],
        "manifests": manifests,
        "release file without its values": [release] if release in mine and not deploys else [],
    }
    for what, paths in whats.items():
        if paths and not change.is_root:
            yield _note(change.commit, what, tuple(paths), pull_request)


def of_un_holds(history: DeploymentHistory, pulls: Pulls) -> Iterator[Note]:
    """Releases that somebody let in again, and why."""
    for each in history.un_holds:
        details = (each.release_name, each.reason)
        yield _note(each.commit, "un-hold", details, pulls.merged_as.get(each.commit.id))


def _note(commit: Commit, what: str, details: tuple[str, ...], pull_request: PullRequest | None) -> Note:
    return Note(
        commit=commit.id,
        at=commit.at.isoformat(),
        what=what,
        details=details,
        pull_request=pull_request.number if pull_request else None,
        approved_by=pull_request.approved_by if pull_request else (),
    )
