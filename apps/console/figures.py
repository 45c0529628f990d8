"""What Prometheus says of this environment, and which releases its scrapes of all environments found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from apps.console.deployments import Release
from apps.console.kept import Unanswered
from scripts.errors import Refused
from scripts.evidence.prometheus import Metrics, NotMeasured, Series

NAMESPACE = "purchase-prediction-"
"""Of an environment, with its name behind."""

_EMPTY = "metrics_empty"
_QUERIES = {
    "budgets": 'slo:budget_left:30d{{namespace="{namespace}"}}',
    "events": 'sum by (status) (kpi:events:rate5m{{namespace="{namespace}"}}) * 60',
    "refused": 'kpi:events_refused:share1h{{namespace="{namespace}"}}',
    "lag": 'kpi:event_lag:seconds{{namespace="{namespace}"}}',
    "pods": "count by (namespace, image_tag, model_version, model_sha256) (release_info)",
}


@dataclass(frozen=True)
class Budget:
    """How much of an objective's error budget of 30 days is left; below 0 it is overspent."""

    service: str
    slo: str
    left: float


@dataclass(frozen=True)
class Reported:
    """A release that pods of an environment report, and how many."""

    environment: str
    release: Release
    pods: int


@dataclass(frozen=True)
class Figures:
    """What was measured; None or nothing where there is no series.

    Attributes:
        budgets: The one with the least left first.
        events_per_minute: By status, such as `accepted` or `refused`.
        refused_share: Of the last hour's events.
        event_lag_seconds: Age of the newest event of the lake.
        reported: By all pods that were scraped.
    """

    budgets: tuple[Budget, ...]
    events_per_minute: Mapping[str, float]
    refused_share: float | None
    event_lag_seconds: float | None
    reported: tuple[Reported, ...]


def measured(metrics: Metrics, environment: str, at: datetime) -> Figures:
    """All figures of one environment at a time.

    Raises:
        Unanswered: Prometheus gave no answer that can be relied on.
    """
    try:
        found = {
            name: _series(metrics, query.format(namespace=NAMESPACE + environment), at)
            for name, query in _QUERIES.items()
        }
    except Refused as refused:
        raise Unanswered(str(refused)) from None
    budgets = [
        Budget(each.labels.get("service", ""), each.labels.get("slo", ""), each.value)
        for each in found["budgets"]
    ]
    return Figures(
        tuple(sorted(budgets, key=lambda budget: budget.left)),
        {each.labels.get("status", ""): each.value for each in found["events"]},
        _only(found["refused"]),
        _only(found["lag"]),
        tuple(each for series in found["pods"] if (each := _reported(series)) is not None),
    )


def _series(metrics: Metrics, query: str, at: datetime) -> tuple[Series, ...]:
    try:
        return metrics.vector(query, at)
    except NotMeasured as problem:
        if problem.reason == _EMPTY:
            return ()
        raise


def _only(found: tuple[Series, ...]) -> float | None:
    return found[0].value if found else None


def _reported(series: Series) -> Reported | None:
    namespace = series.labels.get("namespace", "")
    try:
        release = Release.model_validate(series.labels)
    except ValidationError:
        return None
    named = namespace.removeprefix(NAMESPACE)
    return Reported(named, release, int(series.value)) if named != namespace else None
