"""What went live in an environment and when, how old it was by then, and when it was taken back: Git alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from scripts.errors import Refused
from scripts.history import recorded_evidence
from scripts.history.deployment_history import Deployment, DeploymentHistory
from scripts.history.git import Git
from scripts.release_file import Release, evidence_path_of

MODEL, IMAGE = "model", "image"

_COMMIT_ID = re.compile(r"[0-9a-f]{7,40}")

Half = tuple[str, str]
Origins = Mapping[str, datetime]


@dataclass(frozen=True)
class LiveChange:
    """A release that replaced another and was no step back.

    Attributes:
        at: When the commit came to the trunk, which is when it is deployed.
        moved: `model`, `image` or both.
        lead_seconds: By what moved, how long before `at` the training had ended or the code was committed. Only
            where that is known, and only the first time that this model or image went live here.
        restored_at: When the release was taken back, None while it was not.
    """

    at: datetime
    moved: frozenset[str]
    lead_seconds: Mapping[str, float]
    restored_at: datetime | None = None

    @property
    def restore_seconds(self) -> float | None:
        """From the bad release to the one that replaced it."""
        return None if self.restored_at is None else (self.restored_at - self.at).total_seconds()


def read(git: Git, history: DeploymentHistory) -> list[LiveChange]:
    """The changes of an environment, oldest first.

    What the environment started with is none, and neither is a step back; a step back that brings a newer model
    is both. A step back takes back the newest change that had brought what it replaces.
    """
    origins = {MODEL: _trained(git, history), IMAGE: _committed(git, history)}
    changes: list[LiveChange] = []
    brought: dict[Release, int] = {}
    seen: set[Half] = set()
    for deployment in history.deployments:
        before, after = deployment.before, deployment.after
        if before is not None and deployment.is_rollback and before in brought:
            bad = brought[before]
            changes[bad] = replace(changes[bad], restored_at=deployment.commit.at)
        if before is not None and (not deployment.is_rollback or after.model_version > before.model_version):
            brought[after] = len(changes)
            changes.append(_change(deployment, _halves(before), origins, seen))
        seen |= _halves(after)
    return changes


def _change(
    deployment: Deployment, before: set[Half], origins: Mapping[str, Origins], seen: set[Half]
) -> LiveChange:
    at = deployment.commit.at
    moved = _halves(deployment.after) - before
    starts = {half: origins[half].get(key) for half, key in moved - seen}
    leads = {half: (at - start).total_seconds() for half, start in starts.items() if start and start <= at}
    return LiveChange(at, frozenset(half for half, _ in moved), leads)


def _halves(release: Release) -> set[Half]:
    return {(half, _key(release, half)) for half in (MODEL, IMAGE)}


def _key(release: Release, half: str) -> str:
    return f"{release.model_version} {release.model_sha256}" if half == MODEL else release.image_tag


def _trained(git: Git, history: DeploymentHistory) -> Origins:
    """When each model was registered; from the evidence in the commit that first brought it."""
    found: dict[str, datetime] = {}
    names = [
        f"{each.commit.id}:{evidence_path_of(history.environment, each.after)}"
        for each in history.deployments
    ]
    for deployment, data in zip(history.deployments, git.blobs(names), strict=True):
        try:
            registered_at = recorded_evidence.read(data or b"").model.registered_at
        except Refused:
            continue
        found.setdefault(_key(deployment.after, MODEL), registered_at)
    return found


def _committed(git: Git, history: DeploymentHistory) -> Origins:
    """When the code of each image was committed, by tag, where the tag is a commit of this repository."""
    tags = {each.after.image_tag for each in history.deployments}
    names = sorted(tag for tag in tags if _COMMIT_ID.fullmatch(tag))
    answers = _lines(git, names, "cat-file", "--batch-check=%(objectname)", suffix="^{commit}")
    ids = {
        tag: answer
        for tag, answer in zip(names, answers, strict=True)
        if answer.startswith(tag) and " " not in answer
    }
    log = _lines(git, sorted(set(ids.values())), "log", "--no-walk=unsorted", "--stdin", "--format=%H %ct")
    times = {
        sha: datetime.fromtimestamp(int(seconds), UTC) for sha, seconds in (line.split(" ") for line in log)
    }
    return {tag: times[sha] for tag, sha in ids.items()}


def _lines(git: Git, names: Sequence[str], *command: str, suffix: str = "") -> list[str]:
    """One line of answer for each name; git is not asked about none, which it takes for the newest commit."""
    if not names:
        return []
    return git.text(*command, stdin="".join(f"{name}{suffix}\n" for name in names).encode()).splitlines()
