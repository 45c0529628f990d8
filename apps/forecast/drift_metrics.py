"""The newest verdict on drift as metrics."""

from prometheus_client import CollectorRegistry, Gauge

from apps.forecast.schemas import DriftReport
from apps.forecast.serving import DRIFT_STATES


class DriftMetrics:
    """Gauges of the newest verdict."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._verdict = Gauge(
            "drift_verdict",
            "1 for what the newest verdict found: none, found or unknown; no series before the first.",
            ["state"],
            registry=registry,
        )
        self._episode = Gauge("drift_episode", "1 while an episode of drift lasts.", registry=registry)
        self._features = Gauge("drift_features", "What drifted in the newest period.", registry=registry)
        self._judged = Gauge(
            "drift_judged_timestamp_seconds",
            "When the newest verdict was made; 0 before the first.",
            registry=registry,
        )

    def tell(self, report: DriftReport) -> None:
        """Set the gauges by a report."""
        for answer, state in DRIFT_STATES.items():
            self._verdict.labels(state).set(answer == report.answer)
        self._episode.set(report.episode is not None)
        self._features.set(len(report.report.features))
        self._judged.set(report.created_at.timestamp())
