"""Prometheus' own questions to every service, through its Service, so that quiet hours have answers to count too.

A Service leads only to pods that are ready: the forecast service's with a model and a snapshot, the collector's with an
inbox. What the pod answers is thrown away, since the next question may reach another pod; `up` stays.
"""

from typing import Any

from scripts.observability.objectives import Objectives
from scripts.observability.rules import PROBE


def targets(slo: Objectives) -> list[dict[str, Any]]:
    """Address and labels of each service in each environment, as `static_configs` have them."""
    return [
        {
            "targets": [f"{name}.purchase-prediction-{environment}:{port}"],
            "labels": {
                "namespace": f"purchase-prediction-{environment}",
                "environment": environment,
                "app_kubernetes_io_name": name,
            },
        }
        for environment, name, port in slo.asked
    ]


def manifest(slo: Objectives) -> dict[str, Any]:
    """The questions as the Prometheus operator reads them."""
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "ScrapeConfig",
        "metadata": {"name": PROBE},
        "spec": {
            "jobName": PROBE,
            "scrapeInterval": "15s",
            "scrapeTimeout": "5s",
            "staticConfigs": targets(slo),
            "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": ".+"}],
        },
    }
