"""The environment that a release comes from: what it runs by Git, and since when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.errors import Refused
from scripts.evidence.rules import Rules
from scripts.history import deployment_history
from scripts.history.git import Commit, Git
from scripts.history.repository import TRUNK
from scripts.manifests.overlay import overlay_of
from scripts.release_file import Release, parse


@dataclass(frozen=True)
class Source:
    """An environment that a release comes from, what Git says it runs, and by which commit."""

    environment: str
    namespace: str
    release: Release
    commit: Commit


def source_of(git: Git, environment: str) -> Source:
    """What a source environment runs by Git.

    Raises:
        Refused: It runs nothing yet, what it runs is held there, or its overlay names no namespace.
    """
    release = parse(deployment_history.live_file(git, environment, TRUNK))
    history = deployment_history.read(git, environment, TRUNK)
    if not release.has_model or history.live is None:
        raise Refused("source_is_empty", f"{environment} runs no model yet; promote to {environment} first")
    hold = history.hold_on(release)
    if hold:
        raise Refused("held", f"{release.name} is held in {environment}: {hold}")
    namespace = overlay_of(git, environment, TRUNK).namespace
    if namespace is None:
        raise Refused(
            "bad_overlay", f"the overlay of {environment} names no namespace, so nobody can watch it"
        )
    return Source(environment, namespace, release, history.live.commit)


def refuse_too_young(source: Source, rules: Rules, now: datetime) -> None:
    """Refuse a release that its environment was given less than the soak ago; older says nothing yet.

    Raises:
        Refused: The release of the source changed during the soak.
    """
    age = now - source.commit.at
    if age < timedelta(seconds=rules.soak_seconds):
        raise Refused(
            "soak_short",
            f"{source.environment} was given {source.release.name} {age.total_seconds() / 60:.0f} minutes ago"
            f" (commit {source.commit.id[:12]}), the soak takes {rules.soak_minutes:g}",
        )
