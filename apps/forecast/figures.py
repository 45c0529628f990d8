"""How past forecasts did, how fresh the data is and how releases were delivered, as metrics."""

from datetime import datetime
from typing import ClassVar

from prometheus_client import CollectorRegistry, Gauge
from pydantic import BaseModel, FiniteFloat

from apps.forecast.schemas import EvaluationReport, MonthFigures


class Spread(BaseModel):
    """Of some times, in seconds."""

    median: FiniteFloat | None


class Deliveries(BaseModel):
    """DORA's figures of some deployments."""

    deployments_per_week: FiniteFloat | None
    lead_time_seconds: dict[str, Spread]
    change_failure_rate: FiniteFloat | None
    time_to_restore_seconds: Spread


class EnvironmentFigures(BaseModel):
    """Those of one environment; the splits are passed over."""

    all: Deliveries


class DeliveryReport(BaseModel):
    """What `python -m scripts.promote metrics --keep` left."""

    until: datetime
    environments: dict[str, EnvironmentFigures]


class EvaluationMetrics:
    """Gauges of every model in its newest month that is over, and of the newest event."""

    _HELP: ClassVar = {
        "forecast_wape": "Absolute error over units sold, of the newest month that is over.",
        "forecast_naive_wape": "The same, had last month's units been the forecast.",
        "forecast_bias": "Forecast over sold, less one.",
        "forecast_pinball": "Mean scaled pinball loss.",
        "forecast_coverage_80": "Share of products whose units lay within the 80 % interval.",
        "forecast_revenue_wape": "As wape, units weighted by their price.",
    }

    def __init__(self, registry: CollectorRegistry) -> None:
        self._errors = {
            name: Gauge(name, text, ["model_version", "horizon"], registry=registry)
            for name, text in self._HELP.items()
        }
        self._evaluated = Gauge(
            "forecast_evaluated_timestamp_seconds",
            "When past forecasts were last judged; 0 before the first.",
            registry=registry,
        )
        self._event = Gauge(
            "data_newest_event_timestamp_seconds",
            "When the newest event of the lake happened; 0 while that is not known.",
            registry=registry,
        )

    def tell(self, report: EvaluationReport) -> None:
        """Set the gauges by a report; a model that it does not name has none."""
        newest = {(each.model_version, each.horizon): each for each in sorted(report.months, key=_month)}
        for name, gauge in self._errors.items():
            gauge.clear()
            for labels, each in newest.items():
                if (value := getattr(each, name.removeprefix("forecast_"))) is not None:
                    gauge.labels(*labels).set(value)
        self._evaluated.set(report.created_at.timestamp())
        self._event.set(report.newest_event_at.timestamp() if report.newest_event_at else 0)


class DeliveryMetrics:
    """Gauges of DORA's four figures by environment; one that nothing is known of has no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(name, text, ["to", *more], registry=registry)

        self._frequency = gauge("delivery_deployments_per_week", "Releases a week that were no step back.")
        self._lead = gauge(
            "delivery_lead_time_seconds", "Median from where a change began until live.", "half"
        )
        self._failures = gauge("delivery_change_failure_share", "Share of deployments that were taken back.")
        self._restore = gauge("delivery_time_to_restore_seconds", "Median from live until taken back.")
        self._measured = Gauge(
            "delivery_measured_timestamp_seconds",
            "When deliveries were last measured; 0 before the first.",
            registry=registry,
        )

    def tell(self, report: DeliveryReport) -> None:
        """Set the gauges by a report."""
        for gauge in (self._frequency, self._lead, self._failures, self._restore):
            gauge.clear()
        for name, environment in report.environments.items():
            found = environment.all
            _set(self._frequency, found.deployments_per_week, name)
            _set(self._failures, found.change_failure_rate, name)
            _set(self._restore, found.time_to_restore_seconds.median, name)
            for half, spread in found.lead_time_seconds.items():
                _set(self._lead, spread.median, name, half)
        self._measured.set(report.until.timestamp())


def _set(gauge: Gauge, value: float | None, *labels: str) -> None:
    if value is not None:
        gauge.labels(*labels).set(value)


def _month(each: MonthFigures) -> str:
    return each.month
