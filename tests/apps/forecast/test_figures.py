"""What the model store says of past forecasts and of deliveries is what Prometheus is told."""

import json
import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from apps.forecast.figures import DeliveryMetrics, DeliveryReport, EvaluationMetrics
from apps.forecast.main import create
from apps.forecast.schemas import EvaluationReport
from ml.model_store import DELIVERY, EVALUATION, ModelStore
from tests.apps.client import Client, answering
from tests.apps.forecast.store import Shop

AT = "2026-11-20T04:45:00+00:00"
SECONDS = 1_795_149_900.0  # date -d 2026-11-20T04:45:00Z +%s


def month(name: str, version: int, **changes: Any) -> dict[str, Any]:
    found = {
        "month": name,
        "model_version": version,
        "horizon": 1,
        "observations": 40,
        "wape": 0.5,
        "naive_wape": 0.6,
        "bias": -0.03,
        "pinball": 0.49,
        "coverage_80": 0.81,
        "revenue_wape": 0.4,
    }
    return found | changes


def evaluation(*months: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"created_at": AT, "newest_event_at": AT, "months": list(months), "open": []} | changes


DELIVERED: dict[str, Any] = {
    "deployments": 3,
    "deployments_per_week": 1.5,
    "lead_time_seconds": {"model": {"count": 2, "median": 3600.0, "p90": 9000.0}, "image": {"median": None}},
    "failed": 1,
    "change_failure_rate": 0.3333,
    "time_to_restore_seconds": {"count": 1, "median": 90.0, "p90": 90.0},
}
DELIVERIES = {"until": AT, "environments": {"production": {"weeks": 2.0, "all": DELIVERED}}}


def shown(client: Client, *awaited: str) -> str:
    """The metrics, once they have what is looked for beside the requests."""
    end = time.monotonic() + 10
    while not all(each in (text := client.get("/metrics").text) for each in awaited):
        assert time.monotonic() < end
        time.sleep(0.02)
    return text


def test_the_newest_month_of_every_model_is_told(own: Shop) -> None:
    """Through the real service: both reports in its store, its gauges on `/metrics`."""
    store = ModelStore(own.root)
    report = evaluation(month("2026-10", 3, wape=0.25), month("2026-09", 3, wape=0.9), month("2026-09", 4))
    store.put_report(EVALUATION, json.dumps(report).encode())
    store.put_report(DELIVERY, json.dumps(DELIVERIES).encode())
    with answering(create(own.settings())) as client:
        text = shown(client, "delivery_deployments_per_week{", "forecast_wape{")
    for line in (
        'forecast_wape{horizon="1",model_version="3"} 0.25',
        'forecast_wape{horizon="1",model_version="4"} 0.5',
        'forecast_naive_wape{horizon="1",model_version="3"} 0.6',
        'forecast_bias{horizon="1",model_version="3"} -0.03',
        'forecast_pinball{horizon="1",model_version="3"} 0.49',
        'forecast_coverage_80{horizon="1",model_version="3"} 0.81',
        'forecast_revenue_wape{horizon="1",model_version="3"} 0.4',
        f"forecast_evaluated_timestamp_seconds {SECONDS!r}",
        f"data_newest_event_timestamp_seconds {SECONDS!r}",
        'delivery_deployments_per_week{to="production"} 1.5',
        'delivery_lead_time_seconds{half="model",to="production"} 3600.0',
        'delivery_change_failure_share{to="production"} 0.3333',
        'delivery_time_to_restore_seconds{to="production"} 90.0',
        f"delivery_measured_timestamp_seconds {SECONDS!r}",
    ):
        assert f"{line.replace(repr(SECONDS), '1.7951499e+09')}\n" in text
    assert 'half="image"' not in text


@pytest.mark.parametrize("broken", [b"{", b"{}", b'{"created_at": 1, "months": [1]}'])
def test_a_report_that_cannot_be_read_is_no_metric_and_no_fault(own: Shop, broken: bytes) -> None:
    ModelStore(own.root).put_report(EVALUATION, broken)
    ModelStore(own.root).put_report(DELIVERY, json.dumps(DELIVERIES).encode())
    with answering(create(own.settings(refresh_seconds=0.05))) as client:
        text = shown(client, "delivery_deployments_per_week{")
    assert "forecast_evaluated_timestamp_seconds 0.0\n" in text
    assert "forecast_wape{" not in text


def test_what_a_newer_report_does_not_name_has_no_series() -> None:
    registry = CollectorRegistry()
    metrics = EvaluationMetrics(registry)
    labels = {"model_version": "3", "horizon": "1"}
    for report, wape in (
        (evaluation(month("2026-10", 3)), 0.5),
        (evaluation(month("2026-11", 3, wape=None)), None),
        (evaluation(month("2026-11", 4)), None),
    ):
        metrics.tell(EvaluationReport.model_validate(report))
        assert registry.get_sample_value("forecast_wape", labels) == wape
    metrics.tell(EvaluationReport.model_validate(evaluation(newest_event_at=None)))
    assert registry.get_sample_value("data_newest_event_timestamp_seconds") == 0


def test_of_another_horizon_the_errors_are_apart() -> None:
    registry = CollectorRegistry()
    months = month("2026-10", 3), month("2026-10", 3, horizon=2, wape=0.7)
    EvaluationMetrics(registry).tell(EvaluationReport.model_validate(evaluation(*months)))
    found = [
        registry.get_sample_value("forecast_wape", {"model_version": "3", "horizon": each}) for each in "12"
    ]
    assert found == [0.5, 0.7]


def test_an_environment_that_is_gone_has_no_series() -> None:
    registry = CollectorRegistry()
    metrics = DeliveryMetrics(registry)
    for environments, rate in ((DELIVERIES["environments"], 1.5), ({}, None)):
        metrics.tell(DeliveryReport.model_validate({"until": AT, "environments": environments}))
        assert registry.get_sample_value("delivery_deployments_per_week", {"to": "production"}) == rate
