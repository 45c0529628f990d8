"""Six days of events of one objective, of which every stretch fails at another rate, and the arithmetic on them."""

from typing import Any

from scripts.observability.objectives import Objective
from tests.observability.promtool import Rule, objectives, rules

STRETCHES = ((4320, 7), (2880, 0), (1080, 1), (240, 2), (60, 3), (30, 4), (25, 5), (5, 6))
"""(minutes, bad ones of ten events a minute), oldest first; the boundaries are those of the windows."""

MINUTES = sum(minutes for minutes, _ in STRETCHES)
EVENTS = 10
WINDOWS = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320, "30d": MINUTES}
NAMESPACE = "purchase-prediction-production"
GROUPS = ("burn-rates", "burn-rates-slow", "budgets")
WELL = "purchase-prediction-staging"
"""Where nothing fails, so that there is no series of failures."""

BAD = [bad for minutes, bad in STRETCHES for _ in range(minutes)]
"""Bad events of each minute."""


def failures(window: str) -> int:
    """Bad events of a window that ends now."""
    return sum(BAD[-WINDOWS[window] :])


def burn_rate(objective: Objective, window: str) -> float:
    """How many times too fast the budget goes."""
    return failures(window) / (EVENTS * WINDOWS[window]) / (1 - objective.objective)


def series(objective: Objective) -> list[dict[str, Any]]:
    """What the pods would have exposed, and beside it what must not be counted."""
    good, bad = _counter([EVENTS - each for each in BAD]), _counter(BAD)
    every, loud = _counter([EVENTS] * MINUTES), _counter([1000] * MINUTES)
    place = f'namespace="{NAMESPACE}", app_kubernetes_io_name="{objective.service}"'
    pod, other = (
        f'{place}, job="p/services", route="/x"',
        'namespace="p", app_kubernetes_io_name="other", job="p/services", route="/x"',
    )
    if objective.name == "availability":
        return _all(
            {
                f'http_requests_total{{{pod}, status="200"}}': good,
                f'http_requests_total{{{pod}, status="503"}}': bad,
                f'http_requests_total{{{pod}, status="200"}}'.replace(NAMESPACE, WELL): every,
                f'http_requests_total{{{pod}, status="404"}}': _counter([0] * MINUTES),
                f'http_requests_total{{{place}, job="p/services", route="/ready", status="503"}}': loud,
                f'http_requests_total{{{place}, job="probe", route="/x", status="503"}}': loud,
                f'http_requests_total{{{other}, status="503"}}': loud,
            }
        )
    if objective.name == "latency":
        count, bucket = "http_request_duration_seconds_count", "http_request_duration_seconds_bucket"
        at = float(objective.seconds or 0)
        return _all(
            {
                f'{count}{{{pod}, status="200"}}': every,
                f'{bucket}{{{pod}, status="200", le="{at}"}}': good,
                f'{bucket}{{{pod}, status="200", le="+Inf"}}': every,
                f'{count}{{{pod}, status="500"}}': loud,
                f'{bucket}{{{pod}, status="500", le="{at}"}}': loud,
                f'{count}{{{place}, job="p/services", route="/health", status="200"}}': loud,
                f'{bucket}{{{place}, job="p/services", route="/health", status="200", le="{at}"}}': loud,
                f'{count}{{{place}, job="probe", route="/x", status="200"}}': loud,
                f'{bucket}{{{place}, job="probe", route="/x", status="200", le="{at}"}}': loud,
                f'{count}{{{other}, status="200"}}': loud,
                f'{bucket}{{{other}, status="200", le="{at}"}}': loud,
            }
        )
    if objective.name == "coverage":
        asked = "decision_forecast_requests_total"
        return _all(
            {
                f'{asked}{{{place}, job="p/services", result="answered"}}': good,
                f'{asked}{{{place}, job="p/services", result="answered"}}'.replace(NAMESPACE, WELL): every,
                f'{asked}{{{place}, job="p/services", result="kept"}}': _counter([0] * MINUTES),
                f'{asked}{{{place}, job="p/services", result="unknown"}}': _counter(
                    [each // 2 for each in BAD]
                ),
                f'{asked}{{{place}, job="p/services", result="failed"}}': _counter(
                    [each - each // 2 for each in BAD]
                ),
                f'{asked}{{{place}, job="probe", result="failed"}}': loud,
                f'{asked}{{{other}, result="failed"}}': loud,
            }
        )
    if objective.name == "success":
        ended = f'argo_workflows_total_count{{namespace="{NAMESPACE}"'
        return _all(
            {
                f'{ended}, phase="Succeeded"}}': good,
                f'{ended}, phase="Succeeded"}}'.replace(NAMESPACE, WELL): every,
                f'{ended}, phase="Failed"}}': _counter([each // 2 for each in BAD]),
                f'{ended}, phase="Error"}}': _counter([each - each // 2 for each in BAD]),
                f'{ended}, phase="Running"}}': loud,
            }
        )
    return _all(
        {f'up{{{place}, job="probe", instance="{number}"}}': _answers(number) for number in range(EVENTS)}
        | {
            f'up{{{place}, job="p/services", pod="a"}}': "0x8800",
            'up{namespace="p", app_kubernetes_io_name="other", job="probe"}': "0x8800",
        }
    )


def _all(found: dict[str, str]) -> list[dict[str, Any]]:
    return [{"series": name, "values": values} for name, values in found.items()]


def _counter(events: list[int]) -> str:
    """A counter from 0, one sample a minute."""
    total, parts, minute = 0, ["0"], 0
    while minute < len(events):
        step, end = events[minute], minute
        while end < len(events) and events[end] == step:
            end += 1
        parts.append(f"{total + step}+{step}x{end - minute - 1}")
        total, minute = total + step * (end - minute), end
    return " ".join(parts)


def _answers(number: int) -> str:
    """`up` of one of ten targets: as many are down in a minute as events are bad."""
    runs = " ".join(f"{int(number >= bad)}x{minutes - 1}" for minutes, bad in STRETCHES)
    return f"_ {runs}"


def recorded(objective: Objective) -> list[Rule]:
    """What is recorded of one objective."""
    wanted = (objective.service, objective.name)
    found = [rule for group in GROUPS for rule in rules(group)]
    return [rule for rule in found if (rule["labels"]["service"], rule["labels"]["slo"]) == wanted]


def _where_nothing_fails(labels: str, name: str, names: set[str]) -> list[dict[str, Any]]:
    if name not in {"availability", "coverage", "success"}:
        return []
    return [
        {
            "expr": f'{record}{{namespace="{WELL}"}} == {int("left" in record)}',
            "eval_time": "6d",
            "exp_samples": [
                {
                    "labels": f"{record}{{{labels}}}".replace(NAMESPACE, WELL),
                    "value": int("left" in record),
                }
            ],
        }
        for record in sorted(names)
    ]


def burn_tests(objective: Objective, names: set[str]) -> dict[str, Any]:
    """What promtool is to ask of the records of these names after six days."""
    expected = dict[str, float]()
    owner = objectives().services[objective.service].owner
    labels = (
        f'namespace="{NAMESPACE}", service="{objective.service}", slo="{objective.name}", owner="{owner}"'
    )
    for window in WINDOWS:
        expected[f"slo:burn_rate:{window}"] = burn_rate(objective, window)
        expected[f"slo:failures:{window}"] = float(failures(window))
    expected["slo:budget_left:30d"] = 1 - burn_rate(objective, "30d")  # what there is of them
    # `up` has no events but samples, and a window holds those of both its ends.
    tolerance = 0.25 if objective.name == "reachable" else 1e-3
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1d",
        "tests": [
            {
                "interval": "1m",
                "input_series": series(objective),
                "promql_expr_test": [
                    {
                        "expr": f"count(abs({record}{{{labels}}} / {value!r} - 1) <= {tolerance})",
                        "eval_time": "6d",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                    for record, value in expected.items()
                    if record in names
                ]
                + _where_nothing_fails(labels, objective.name, names),
            }
        ],
    }
