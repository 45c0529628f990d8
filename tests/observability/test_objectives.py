"""What is promised can be held, and what is committed is what is promised."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.chassis.metrics import LATENCY_BUCKETS_SECONDS
from scripts.errors import Refused
from scripts.observability import dashboards
from scripts.observability.__main__ import run
from scripts.observability.objectives import FILE, FOLDER, read
from tests.argo.objects import specs
from tests.environments.rendered import SERVICES, manifests, named
from tests.observability.alertmanager import configuration
from tests.observability.promtool import objectives, rules, written_tests
from tests.repository.imports import ROOT

TEXT = FILE.read_text()
ALERTS = rules("alerts")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PARTS = ("Meaning", "Impact", "Diagnosis", "Mitigation")


def test_what_is_committed_is_what_the_objectives_make() -> None:
    assert run(["check"]) == (0, {"stale": []})


@pytest.mark.parametrize("name", ["rules.yaml", "probes.yaml", "dashboards/data.json"])
def test_a_file_that_was_edited_or_lost_is_found_and_made_again(name: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    whole = (tmp_path / name).read_text()
    for broken in (whole.replace("namespace", "names", 1), None):
        (tmp_path / name).unlink()
        if broken is not None:
            (tmp_path / name).write_text(broken)
        assert run(["check", "--folder", str(tmp_path)]) == (1, {"stale": [name]})
        run(["write", "--folder", str(tmp_path)])
        assert (tmp_path / name).read_text() == whole


def test_a_dashboard_that_is_no_longer_wanted_goes(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dashboards/old.json").write_text("{}")
    assert run(["check", "--folder", str(tmp_path)])[0] == 1
    run(["write", "--folder", str(tmp_path)])
    assert not (tmp_path / "dashboards/old.json").exists()


def test_the_command_answers_in_json(tmp_path: Path) -> None:
    out = tmp_path / "rules.yml"
    command = [sys.executable, "-m", "scripts.observability", "rules", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"written": [str(out)]}
    assert [rule for group in yaml.safe_load(out.read_text())["groups"] for rule in group["rules"]] == rules()


FAST = "factor: 14.4, long: 1h, short: 5m, for: 30s"
REFUSED = [
    (
        "name: availability, objective: 0.999, severity: page",
        "name: availability, objective: 0.93, severity: page",
        "can never fire",
    ),
    (
        "name: availability, objective: 0.999, severity: page",
        "name: availability, objective: 1, severity: page",
        "less than 1",
    ),
    (
        "name: latency, objective: 0.99, seconds: 0.25",
        "name: latency, objective: 0.99, seconds: 0.3",
        "no bucket",
    ),
    (
        "name: latency, objective: 0.99, seconds: 0.25",
        "name: latency, objective: 0.99",
        "belongs to a latency",
    ),
    (
        "name: reachable, objective: 0.999",
        "name: reachable, seconds: 1, objective: 0.999",
        "belongs to a latency",
    ),
    (FAST, "factor: 14.4, long: 1h, short: 1h, for: 30s", "short window"),
    (FAST, "factor: 14.4, long: 5m, short: 1h, for: 30s", "short window"),
    (FAST, "factor: 14.4, long: 1h, short: 5m, for: 10m", "longer than the short window"),
    (FAST, "factor: 14.4, long: 2d, short: 3h, for: 30s", "too late"),
    (FAST, "factor: 0.5, long: 1h, short: 5m, for: 30s", "greater than or equal to 1"),
    (FAST, "factor: 14.4, long: 1w, short: 5m, for: 30s", "pattern"),
    ("minimum_failures: 5", "minimum_failures: 1", "greater than or equal to 2"),
    ("period: 30d", "period: 1d", "no budget"),
    ("service: decision, name: coverage", "service: decision, name: latency, seconds: 1", "said twice"),
    ("service: decision, name: coverage", "service: shop, name: coverage", "no such service"),
    ("alert: PodDown", "alert: ServiceDown", "said twice"),
    ("owner: data, port: 8000", "owner: data, prot: 8000", "prot"),
    ("services:", "services: [", "not YAML"),
]


@pytest.mark.parametrize(("right", "wrong", "reason"), REFUSED)
def test_a_promise_that_no_rule_can_hold_is_refused(right: str, wrong: str, reason: str) -> None:
    assert right in TEXT
    with pytest.raises(Refused, match=reason):
        read(TEXT.replace(right, wrong, 1))


@pytest.mark.parametrize(
    ("objective", "severity", "possible"),
    [(0.9306, "page", True), (0.93, "page", False), (0.67, "ticket", True), (0.66, "ticket", False)],
)
def test_the_lowest_objective_is_one_minus_one_over_the_burn_rate(
    objective: float, severity: str, *, possible: bool
) -> None:
    """14.4 for what pages: 0.93056; 3 for tickets: 0.66667."""
    old = "{service: console, name: availability, objective: 0.99, severity: ticket}"
    text = TEXT.replace(
        old, f"{{service: console, name: availability, objective: {objective}, severity: {severity}}}"
    )
    assert text != TEXT
    if possible:
        read(text)
    else:
        with pytest.raises(Refused, match="can never fire"):
            read(text)


def test_the_buckets_are_those_of_the_services() -> None:
    assert objectives().buckets == list(LATENCY_BUCKETS_SECONDS)


def test_bad_boards_are_refused() -> None:
    with pytest.raises(Refused, match="expression"):
        dashboards.read("service: [{title: a, expression: b, legend: c}]")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_has_owner_severity_wait_runbook_and_both_tests(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["labels"]["severity"] in {"page", "ticket", "none"}
    assert rule["labels"].get("owner") or "slo:" in rule["expr"]  # burn rates carry their service's
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"].endswith(f"docs/runbook.md#{name.lower()}")
    cases = [case["name"] for file in written_tests()[name] for case in file["tests"]]
    assert [each for each in cases if each.startswith(f"{name}: fires")]
    assert [each for each in cases if each.startswith(f"{name}: silent")]


@pytest.mark.parametrize("alert", [*(rule["alert"] for rule in ALERTS), "HeartbeatSilent"])
def test_the_runbook_says_what_an_alert_means_and_what_to_do(alert: str) -> None:
    (section,) = re.findall(rf"^### {alert}\n(.+?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\*\*(\w+)\.\*\* \S", section, re.MULTILINE) == list(PARTS)


def without_a_rule() -> set[str]:
    """Alerts that a service raises by itself; a drill needs no heading."""
    code = "\n".join(path.read_text() for path in EXPOSED.rglob("*.py"))
    return set(re.findall(r'"alertname": "(\w+)"', code)) - {"Drill"}


def test_the_runbook_has_a_heading_for_every_alert_that_anything_raises_and_no_other() -> None:
    alarms = RUNBOOK.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    assert without_a_rule() == {"HeartbeatSilent"}
    raised = {rule["alert"] for rule in ALERTS} | without_a_rule()
    assert set(re.findall(r"^### (\S+)$", alarms, re.MULTILINE)) == raised


def test_the_page_of_operations_promises_what_the_file_does() -> None:
    rows = set(re.findall(r"^\| (\w+) \| (\w+) \| ([\d.]+) % \| (page|ticket) \|", OPERATIONS, re.MULTILINE))
    assert rows == {
        (each.service, each.name, f"{each.objective * 100:.12g}", each.severity)
        for each in objectives().objectives
    }
    for each in objectives().conditions:
        assert f"| {each.alert} | {each.objective} |" in OPERATIONS, each.alert
    for name, service in objectives().services.items():
        assert f"| {name} | {service.owner} |" in OPERATIONS


EXPOSED = ROOT / "apps"
ELSEWHERE = {
    "up",
    "ALERTS",
    "argo_workflows_total_count",
    "argo_workflows_cronworkflows_triggered_total",
    "kube_cronjob_status_last_successful_time",
    "rollout_info",
}
PROCESS = {"process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}


def metrics_of(expr: str) -> set[str]:
    return {
        found
        for found in re.findall(r"\b([a-z_]+(?::[a-z0-9_]+)*)(?=[{\[])", expr)
        if "_" in found or ":" in found
    }


def test_every_metric_is_exposed_by_a_service_or_recorded() -> None:
    code = "\n".join(path.read_text() for path in EXPOSED.rglob("*.py"))
    counted = {f"{name}_total" for name in re.findall(r'"(\w+)"', code)} | set(re.findall(r'"(\w+)"', code))
    counted |= {f"http_request_duration_seconds_{end}" for end in ("bucket", "count")}
    known = counted | ELSEWHERE | PROCESS | {rule["record"] for rule in rules() if "record" in rule}
    asked = [rule["expr"] for rule in rules()]
    asked += [
        panel.expr for panels in dashboards.read(dashboards.FILE.read_text()).values() for panel in panels
    ]
    assert set().union(*map(metrics_of, asked)) - known == set()
    assert metrics_of("rate(no_such_metric[5m])") - known == {"no_such_metric"}  # the control


def test_the_probe_asks_every_service_at_its_port() -> None:
    found = {
        target
        for each in named(manifests("platform"), "ScrapeConfig", "probe")["spec"]["staticConfigs"]
        for target in each["targets"]
    }
    places = {"platform": ["oncall"], "staging": SERVICES, "production": SERVICES}
    assert found == {
        f"{name}.purchase-prediction-{place}:{named(manifests(place), 'Service', name)['spec']['ports'][0]['port']}"
        for place, names in places.items()
        for name in names
    }


def test_dashboards_reach_grafana_by_the_label_of_its_sidecar() -> None:
    found = named(manifests("platform"), "ConfigMap", "dashboards")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {f"dashboards/{name}" for name in found["data"]} == {
        str(path.relative_to(FOLDER)) for path in (FOLDER / "dashboards").glob("*.json")
    }
    for text in found["data"].values():
        board = json.loads(text)
        assert board["uid"].startswith("purchase-prediction-")
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) >= 6


def test_the_chart_gives_alertmanager_the_tested_configuration() -> None:
    values = specs("Application")["kube-prometheus-stack"]["source"]["helm"]["valuesObject"]
    assert values["alertmanager"]["config"] == configuration()
    files = re.findall(r"/etc/alertmanager/secrets/(\w+)/token", json.dumps(configuration()))
    assert set(files) == set(values["alertmanager"]["alertmanagerSpec"]["secrets"])
    assert values["defaultRules"]["disabled"] == {"Watchdog": True}  # there is one already
