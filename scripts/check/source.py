"""Whether the environment that a release comes from ran it by Git when the evidence says that it was watched."""

from datetime import datetime, timedelta

from scripts.check.not_as_promised import NotAsPromised
from scripts.evidence.record import Evidence
from scripts.evidence.rules import Rules
from scripts.history import deployment_history
from scripts.history.deployment_history import DeploymentHistory
from scripts.history.git import Git
from scripts.history.repository import TRUNK
from scripts.images import release_images
from scripts.release_file import Release


def check_source(git: Git, evidence: Evidence, rules: Rules, now: datetime, number: int) -> None:
    """Compare the soak with the source's history.

    Raises:
        Refused: The source holds the release, did not have it at that time, or was given other images.
    """
    traffic, limits = evidence.traffic, rules.limits
    if rules.source is None or limits is None:
        return
    history = deployment_history.read(git, rules.source, TRUNK)
    hold = history.hold_on(evidence.release)
    if hold:
        raise NotAsPromised(number, f"brings what {rules.source} holds: {hold}")
    skew = timedelta(seconds=limits.clock_skew_seconds)
    if traffic is None or not any(
        start - skew <= traffic.since and traffic.until <= end + skew
        for start, end in _spans(history, evidence.release, now)
    ):
        when = f"from {traffic.since:%Y-%m-%d %H:%M} to {traffic.until:%H:%M} UTC" if traffic else "ever"
        name = evidence.release.name
        raise NotAsPromised(number, f"says that {rules.source} ran {name} {when}, Git does not")
    if rules.images:
        tried = release_images.recorded(git, rules.source, evidence.release)
        release_images.refuse_untried(evidence.images, tried, evidence.release.image_tag, rules.source)


def _spans(history: DeploymentHistory, release: Release, now: datetime) -> list[tuple[datetime, datetime]]:
    """When an environment had a release, until now where it still has it."""
    starts = [deployment.commit.at for deployment in history.deployments]
    ends = [*starts[1:], now]
    return [
        (start, end)
        for deployment, start, end in zip(history.deployments, starts, ends, strict=True)
        if deployment.after == release
    ]
