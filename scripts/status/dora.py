"""The four figures of DORA for each environment, from the history of its release alone.

DORA (dora.dev/guides/dora-metrics) measures how a team delivers by two figures of throughput, deployment frequency
and lead time for changes, and two of stability, change failure rate and the time to restore service. Here a
deployment is a commit on the trunk that brings an environment a release; it counts as live from the commit, since
Argo CD deploys what the trunk says within seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scripts.errors import Refused
from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.git import Git
from scripts.history.repository import TRUNK, temporary_copy
from scripts.status import live_changes, report
from scripts.status.live_changes import IMAGE, MODEL, LiveChange

SPLITS: Mapping[str, frozenset[str] | None] = {
    "all": None,
    "model_only": frozenset({MODEL}),
    "image_only": frozenset({IMAGE}),
    "both": frozenset({MODEL, IMAGE}),
}
"""Deployments by what they moved; None takes each."""

_WEEK = timedelta(weeks=1)


def metrics(
    forge: Forge, *, until: datetime, since: datetime | None = None, environments: Sequence[str] = ()
) -> dict[str, Any]:
    """The figures of some environments, or of all that have a release file now, as JSON values.

    Args:
        forge: Whose repository is read; its pull requests are not asked for.
        until: What came at this time or later is not seen, neither a deployment nor a rollback. Aware.
        since: Deployments before it are not counted. Aware; None takes all.
        environments: Their names.

    Raises:
        Refused: A time has no zone, or `since` is not before `until`.
    """
    _refuse_bad_times(since, until)
    with temporary_copy(forge) as repository:
        trunk = repository.commit(TRUNK).id
        names = environments or report.environments(repository, trunk)
        figures = {name: environment_metrics(repository, name, trunk, since, until) for name in names}
    return {
        "read_until": trunk,
        "since": since.isoformat() if since else None,
        "until": until.isoformat(),
        "environments": figures,
    }


def environment_metrics(
    git: Git, environment: str, trunk: str, since: datetime | None, until: datetime
) -> dict[str, Any]:
    """The figures of one environment from `since`, or from its first day if that is later, until `until`.

    `weeks` is how long that is; null for an environment that was not there yet.
    """
    history = deployment_history.read(git, environment, trunk)
    history.deployments = [each for each in history.deployments if each.commit.at < until]
    first = history.deployments[0].commit.at if history.deployments else until
    start = max(since or first, first)
    changes = [each for each in live_changes.read(git, history) if each.at >= start]
    weeks = (until - start) / _WEEK
    splits = {
        name: _figures([each for each in changes if moved in {None, each.moved}], weeks)
        for name, moved in SPLITS.items()
    }
    return {"weeks": round(weeks, 3) if weeks else None, **splits}


def _figures(changes: Sequence[LiveChange], weeks: float) -> dict[str, Any]:
    failed = [each.restore_seconds for each in changes if each.restore_seconds is not None]
    return {
        "deployments": len(changes),
        "deployments_per_week": deployment_frequency(len(changes), weeks),
        "lead_time_seconds": {half: lead_time(changes, half) for half in (MODEL, IMAGE)},
        "failed": len(failed),
        "change_failure_rate": change_failure_rate(len(failed), len(changes)),
        "time_to_restore_seconds": time_to_restore(failed),
    }


def deployment_frequency(deployments: int, weeks: float) -> float | None:
    """Deployments per week; None when no time has passed.

    DORA: how often changes are deployed to production. A step back is none, so that a bad week does not look like a
    quick one; a release that was taken back and is wanted again is one.
    """
    return round(deployments / weeks, 4) if weeks else None


def lead_time(changes: Iterable[LiveChange], half: str) -> dict[str, float | None]:
    """Seconds from where a change began until it was live: count, median and 90th percentile.

    DORA: the time it takes a change to go from committed to deployed in production. An image begins with the commit
    that its tag names, where that commit is in this repository; a model begins when its training has ended and
    registered it (`registered_at` in the evidence). Each counts once, when it is live for the first time; a
    deployment that moves both gives one value to each half.
    """
    return spread([each.lead_seconds[half] for each in changes if half in each.lead_seconds])


def change_failure_rate(failed: int, deployments: int) -> float | None:
    """Share (0 to 1) of the deployments that a rollback or revert has taken back since; None without any.

    DORA: the share of deployments that need to be remedied at once, by a rollback or a hotfix. A hotfix looks in
    Git like any other deployment, so only rollbacks are counted: it is a lower bound. A step back over several
    releases is the failure of the newest, as holds are.
    """
    return round(failed / deployments, 4) if deployments else None


def time_to_restore(seconds: Sequence[float]) -> dict[str, float | None]:
    """Seconds from the bad release live until its rollback live: count, median and 90th percentile.

    DORA: the time it takes to recover from a deployment that failed. It counts from the deployment, not from when
    somebody noticed, which Git does not know. It belongs to the deployment that failed, also in the splits.
    """
    return spread(seconds)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Count, median and 90th percentile; None of nothing.

    Quantiles lie on the straight line between neighbours (Hyndman and Fan 1996, type 7).
    """
    ordered = sorted(values)
    return {"count": len(ordered), "median": _quantile(ordered, 0.5), "p90": _quantile(ordered, 0.9)}


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (place - low) * (ordered[high] - ordered[low]), 3)


def _refuse_bad_times(since: datetime | None, until: datetime) -> None:
    for name, time in (("since", since), ("until", until)):
        if time is not None and time.utcoffset() is None:
            raise Refused(
                "naive_time", f"{name} {time.isoformat()} has no zone; write {time.isoformat()}+00:00"
            )
    if since is not None and since >= until:
        raise Refused("empty_window", f"since {since.isoformat()} is not before until {until.isoformat()}")
