"""Prometheus rules made of the objectives: recordings of burn rates, and alerts on them.

Several windows and several burn rates (Google, The Site Reliability Workbook, chapter 5): an alert fires while a long
window says that it matters and a short one that it goes on. Two traps of that recipe are answered here: with few
requests one failure is a high share, so an alert also wants a number of failures; and a metric that is missing burns
nothing, so what must be there is asked for by name.
"""

from collections.abc import Callable, Iterator
from typing import Any

from scripts.evidence.soak import UNCOUNTED
from scripts.observability.objectives import Condition, Objective, Objectives, seconds

Rule = dict[str, Any]

PROBE = "probe"
"""The job that asks every service through its Service."""

_BY = "sum by (namespace)"
_QUICK = 3_600  # windows up to this are recorded at the pace of the scrapes
_ABSENT = "2m"


def _requests(metric: str, service: str, more: str = "") -> str:
    return f'{metric}{{app_kubernetes_io_name="{service}", job!="{PROBE}", route!~"{UNCOUNTED}"{more}}}'


def _increase(selector: str, window: str) -> str:
    return f"{_BY} (increase({selector}[{window}]))"


def _availability(each: Objective, window: str) -> tuple[str, str]:
    total = _increase(_requests("http_requests_total", each.service), window)
    bad = _increase(_requests("http_requests_total", each.service, ', status=~"5.."'), window)
    return f"({bad} or 0 * {total})", total


def _latency(each: Objective, window: str) -> tuple[str, str]:
    answered, limit = ', status!~"5.."', f"{each.seconds or 0:.12g}"
    le = f', le="{limit if "." in limit else limit + ".0"}"'
    total = _increase(_requests("http_request_duration_seconds_count", each.service, answered), window)
    quick = _increase(_requests("http_request_duration_seconds_bucket", each.service, answered + le), window)
    return f"({total} - {quick})", total


def _reachable(each: Objective, window: str) -> tuple[str, str]:
    up = f'up{{app_kubernetes_io_name="{each.service}", job="{PROBE}"}}[{window}]'
    total = f"{_BY} (count_over_time({up}))"
    return f"({total} - {_BY} (sum_over_time({up})))", total


def _coverage(each: Objective, window: str) -> tuple[str, str]:
    asked = f'decision_forecast_requests_total{{app_kubernetes_io_name="{each.service}", job!="{PROBE}"'
    total = _increase(asked + "}", window)
    bad = _increase(asked + ', result=~"unknown|failed"}', window)
    return f"({bad} or 0 * {total})", total


def _success(_: Objective, window: str) -> tuple[str, str]:
    ended = "argo_workflows_total_count{phase=~"
    total = _increase(f'{ended}"Succeeded|Failed|Error"}}', window)
    bad = _increase(f'{ended}"Failed|Error"}}', window)
    return f"({bad} or 0 * {total})", total


_EVENTS: dict[str, Callable[[Objective, str], tuple[str, str]]] = {
    "availability": _availability,
    "latency": _latency,
    "reachable": _reachable,
    "coverage": _coverage,
    "success": _success,
}
"""PromQL of the bad and of all events in a window."""


def groups(slo: Objectives) -> list[dict[str, Any]]:
    """The rule groups, as a plain Prometheus reads them."""
    windows = sorted({window for rate in slo.burn_rates for window in (rate.long, rate.short)}, key=seconds)
    quick = [window for window in windows if seconds(window) <= _QUICK]
    slow = [window for window in windows if seconds(window) > _QUICK]
    return [
        {"name": "burn-rates", "interval": "15s", "rules": list(_recordings(slo, quick))},
        {"name": "burn-rates-slow", "interval": "1m", "rules": list(_recordings(slo, slow))},
        {"name": "budgets", "interval": "5m", "rules": list(_budgets(slo))},
        {"name": "kpis", "interval": "1m", "rules": [each.model_dump() for each in slo.kpis]},
        {"name": "alerts", "interval": "15s", "rules": list(_alerts(slo))},
    ]


def manifest(slo: Objectives) -> dict[str, Any]:
    """The same groups as the Prometheus operator reads them."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "objectives"},
        "spec": {"groups": groups(slo)},
    }


def _recordings(slo: Objectives, windows: list[str]) -> Iterator[Rule]:
    for each in slo.objectives:
        rates = slo.rates_of(each)
        labels = _labels(slo, each)
        for window in windows:
            bad, total = _EVENTS[each.name](each, window)
            if any(window in {rate.long, rate.short} for rate in rates):
                expr = f"{bad} / {total} / {each.budget:.9g}"
                yield {"record": f"slo:burn_rate:{window}", "expr": expr, "labels": labels}
            if any(window == rate.long for rate in rates):
                yield {"record": f"slo:failures:{window}", "expr": bad, "labels": labels}


def _budgets(slo: Objectives) -> Iterator[Rule]:
    for each in slo.objectives:
        bad, total = _EVENTS[each.name](each, slo.period)
        left, labels = f"1 - {bad} / {total} / {each.budget:.9g}", _labels(slo, each)
        yield {"record": f"slo:budget_left:{slo.period}", "expr": left, "labels": labels}
        yield {"record": f"slo:failures:{slo.period}", "expr": bad, "labels": labels}


def _labels(slo: Objectives, each: Objective) -> dict[str, str]:
    return {"service": each.service, "slo": each.name, "owner": slo.services[each.service].owner}


def _alerts(slo: Objectives) -> Iterator[Rule]:
    for rate in slo.burn_rates:
        burns = (
            f"slo:burn_rate:{rate.long} > {rate.factor:g} and slo:burn_rate:{rate.short} > {rate.factor:g}"
        )
        summary = "{{ $labels.service }} spends its budget of {{ $labels.slo }} {{ $value | humanize }} times too fast"
        yield {
            "alert": rate.alert,
            "expr": f"{burns} and slo:failures:{rate.long} >= {slo.minimum_failures}",
            "for": rate.for_,
            "labels": {"severity": rate.severity},
            "annotations": _annotations(slo, rate.alert, summary),
        }
    yield _budget_spent(slo)
    yield _no_data(slo)
    for each in slo.conditions:
        yield _condition(slo, each)


def _budget_spent(slo: Objectives) -> Rule:
    period, summary = slo.period, "The error budget of {{ $labels.slo }} is used up"
    return {
        "alert": "BudgetSpent",
        "expr": f"slo:budget_left:{period} < 0 and slo:failures:{period} >= {slo.minimum_failures}",
        "for": "1h",
        "labels": {"severity": "ticket"},
        "annotations": _annotations(slo, "BudgetSpent", summary),
    }


def _no_data(slo: Objectives) -> Rule:
    """Every environment and service by name, since nothing can be grouped by what is not there."""
    wanted = [
        f'namespace="purchase-prediction-{environment}", app_kubernetes_io_name="{service}"'
        for environment, service, _ in slo.asked
    ]
    absent = [
        *(f"absent_over_time(http_requests_total{{{one}}}[{_ABSENT}])" for one in wanted),
        *(f'absent_over_time(up{{{one}, job="{PROBE}"}}[{_ABSENT}])' for one in wanted),
    ]
    summary = "Nothing is known of {{ $labels.app_kubernetes_io_name }}, so no other alert speaks for it"
    return {
        "alert": "NoData",
        "expr": "\nor ".join(absent),
        "for": "1m",
        "labels": {
            "severity": "page",
            "owner": "platform",
            "service": "{{ $labels.app_kubernetes_io_name }}",
        },
        "annotations": _annotations(slo, "NoData", summary),
    }


def _condition(slo: Objectives, each: Condition) -> Rule:
    return {
        "alert": each.alert,
        "expr": each.expr,
        "for": each.for_,
        "labels": {"severity": each.severity, "owner": each.owner, "service": each.service},
        "annotations": _annotations(slo, each.alert, each.summary),
    }


def _annotations(slo: Objectives, alert: str, summary: str) -> dict[str, str]:
    return {"summary": summary, "runbook_url": f"{slo.runbook}#{alert.lower()}"}
