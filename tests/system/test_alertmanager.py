"""Who hears of an alert at which hour, by a real Alertmanager with the real configuration."""

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.observability.alertmanager import CASE, CONFIGURATION, Alertmanager, configuration
from tests.observability.promtool import rules

pytestmark = pytest.mark.system

PRODUCTION, STAGING = "purchase-prediction-production", "purchase-prediction-staging"
SEVERITY = {rule["alert"]: rule["labels"]["severity"] for rule in rules("alerts")}
PAGES = [alert for alert, severity in SEVERITY.items() if severity == "page"]
TICKETS = [alert for alert, severity in SEVERITY.items() if severity == "ticket"]

Labels = dict[str, str]
Case = tuple[tuple[int, str], list[Labels], set[tuple[str, str]]]
"""Hour and day, what fires, and who hears of which."""

NOON, NIGHT, SATURDAY = (12, "tuesday"), (3, "tuesday"), (12, "saturday")
EDGES = {(7, "monday"): False, (8, "monday"): True, (17, "friday"): True, (18, "friday"): False}
"""Is anybody in the office?"""


def alert(name: str, namespace: str = PRODUCTION, service: str = "forecast", **more: str) -> Labels:
    return {"alertname": name, "namespace": namespace, "service": service, "severity": SEVERITY[name], **more}


def one(when: tuple[int, str], labels: Labels, *receivers: str) -> Case:
    return when, [labels], {(each, labels["alertname"]) for each in receivers}


def cause(source: Labels, target: Labels, *, muted: bool) -> Case:
    heard = {(receiver(source), source["alertname"])}
    return NOON, [source, target], heard if muted else heard | {(receiver(target), target["alertname"])}


def receiver(labels: Labels) -> str:
    wakes = labels["severity"] == "page" and labels["namespace"] != STAGING
    return "on-call" if wakes else "office"


def other(name: str, severity: str) -> Labels:
    return {"alertname": name, "severity": severity, "namespace": "kube-system"}


DOWN = alert("ServiceDown")
BURNS = ["ErrorBudgetBurnFast", "ErrorBudgetBurn", "ErrorBudgetBurnSlow", "ErrorBudgetBurnLasting"]
SLO = {"slo": "availability"}

CASES: list[Case] = [
    # Every page wakes somebody at any hour, and nobody for staging.
    *(one(when, alert(name), "on-call") for name in PAGES for when in (NOON, NIGHT, SATURDAY)),
    *(one(NIGHT, alert(name, STAGING)) for name in PAGES),
    *(one(NOON, alert(name, STAGING), "office") for name in PAGES),
    # Every ticket waits for the morning.
    *(one(NOON, alert(name), "office") for name in TICKETS),
    *(one(when, alert(name)) for name in TICKETS[:4] for when in (NIGHT, SATURDAY)),
    *(one(when, alert("DriftFound"), *(["office"] if there else [])) for when, there in EDGES.items()),
    *(one(when, alert("ServiceDown"), "on-call") for when in EDGES),
    # The heartbeat is for nobody but the dead man's switch.
    *(
        one(when, {"alertname": "Watchdog", "severity": "none"}, "dead-man")
        for when in (NOON, NIGHT, SATURDAY)
    ),
    # What the cluster's own charts say.
    one(NIGHT, other("KubeNodeNotReady", "critical"), "on-call"),
    one(NIGHT, other("KubePodCrashLooping", "warning")),
    one(NOON, other("KubePodCrashLooping", "warning"), "office"),
    one(NOON, other("CPUThrottlingHigh", "info")),
    one(NOON, other("InfoInhibitor", "none")),
    one(NIGHT, {"alertname": "WithoutSeverity", "namespace": "somewhere"}, "office"),
    # The cause mutes what follows from it, of the same service in the same place.
    *(
        cause(DOWN, alert(name), muted=True)
        for name in (*BURNS, "NoData", "PodDown", "PodRestarts", "SnapshotRefused", "EventsStopped")
    ),
    *(cause(DOWN, alert(name, service="decision"), muted=False) for name in ("NoData", "ErrorBudgetBurn")),
    *(cause(DOWN, alert(name, STAGING), muted=False) for name in ("NoData", "PodDown")),
    *(cause(DOWN, alert(name), muted=False) for name in ("DriftFound", "ReleasesDiffer", "BudgetSpent")),
    cause(DOWN, alert("ForecastsKept", service="decision"), muted=True),
    cause(alert("ServiceDown", service="console"), alert("ForecastsKept", service="decision"), muted=False),
    cause(alert("NoData"), alert("SnapshotStale"), muted=True),
    cause(alert("NoData", service="collector"), alert("EventsStopped", service="collector"), muted=True),
    cause(alert("NoData"), alert("ErrorBudgetBurn"), muted=False),
    *(
        cause(alert(fast, **SLO), alert(slow, **SLO), muted=True)
        for number, fast in enumerate(BURNS)
        for slow in BURNS[number + 1 :]
    ),
    cause(alert(BURNS[0], **SLO), alert(BURNS[2], slo="latency"), muted=False),
    one(NOON, alert(BURNS[3], **SLO), "office"),
]


@pytest.fixture(scope="module")
def alertmanagers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[int, str], Alertmanager]]:
    """One for each hour, after all cases were fired and there was time to tell."""
    left = 3_600 - datetime.now(UTC).timestamp() % 3_600
    if left < 30:
        time.sleep(left + 1)
    folder = tmp_path_factory.mktemp("alertmanagers")
    running = {
        when: Alertmanager(folder / f"{when[1]}-{when[0]}", *when)
        for when in sorted({case[0] for case in CASES})
    }
    for each in running.values():
        each.wait()
    for number, (when, alerts, _) in enumerate(CASES):
        running[when].fire(*({**labels, CASE: str(number)} for labels in alerts))
    time.sleep(2.5)
    yield running
    for each in running.values():
        each.stop()


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    fired = {labels["alertname"] for _, alerts, _ in CASES for labels in alerts}
    assert set(SEVERITY) <= fired


@pytest.mark.parametrize("number", range(len(CASES)))
def test_who_hears_of_it(number: int, alertmanagers: dict[tuple[int, str], Alertmanager]) -> None:
    when, _, heard = CASES[number]
    assert alertmanagers[when].told.of_case(str(number)) == heard, CASES[number]


def test_the_heartbeat_is_repeated_and_signed(alertmanagers: dict[tuple[int, str], Alertmanager]) -> None:
    beats = [
        (path, token)
        for path, body, token in alertmanagers[NOON].told.messages
        if body["receiver"] == "dead-man"
    ]
    assert len(beats) >= 2
    assert set(beats) == {("/alerts/heartbeat", "Bearer of-the-test")}


def test_amtool_accepts_the_configuration_and_refuses_a_misspelt_one(tmp_path: Path) -> None:
    assert _checked(CONFIGURATION) == 0
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(CONFIGURATION.read_text().replace("receiver: on-call", "receiver: oncall"))
    assert _checked(broken) != 0


def _checked(file: Path) -> int:
    return subprocess.run(["amtool", "check-config", str(file)], capture_output=True, check=False).returncode


def test_every_rule_that_mutes_and_every_route_is_needed_by_a_case() -> None:
    """Of the inhibitions by their names; a route that nothing takes would be idle."""
    muted = {
        (alerts[0]["alertname"], alerts[1]["alertname"])
        for _, alerts, heard in CASES
        if len(alerts) == 2 and len(heard) == 1
    }
    for rule in configuration()["inhibit_rules"]:
        (source,) = [each.split(" = ")[1] for each in rule["source_matchers"] if each.startswith("alertname")]
        assert source == "InfoInhibitor" or [pair for pair in muted if pair[0] == source], source
