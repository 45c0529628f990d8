"""promtool judges the committed rules: every alert fires and keeps silent as written, and no small fault would pass."""

import random
import sys
import zlib

import pytest

from tests.observability import burn
from tests.observability.campaign import Subject, run, subjects, survivors
from tests.observability.mutants import mutants
from tests.observability.promtool import Rule, faults, objectives, rules, written_tests

pytestmark = pytest.mark.system

ALERTS = {rule["alert"]: rule for rule in rules("alerts")}
KPIS = {rule["record"]: rule for rule in rules("kpis")}
SLOW = {"SnapshotStale", "DataStale", "EventsStopped", "DriftLasting"}
"""Whose tests take seconds each, since they look weeks back; their mutants wait for the soak."""

SUBJECTS = subjects()
OBJECTIVES = {f"{each.service} {each.name}": each for each in objectives().objectives}


@pytest.mark.parametrize("name", [*ALERTS, *KPIS])
def test_a_rule_does_what_its_tests_say(name: str) -> None:
    rule = (ALERTS | KPIS)[name]
    assert [found for tests in written_tests()[name] if (found := faults([rule], tests))] == []


def of(name: str) -> list[Rule]:
    """What is recorded of one objective."""
    return burn.recorded(OBJECTIVES[name])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_burn_rates_are_what_the_arithmetic_says(name: str) -> None:
    found = of(name)
    names = {rule["record"] for rule in found}
    assert len(names) == len(found) >= 7
    assert faults(found, burn.burn_tests(OBJECTIVES[name], names)) == ""


def sampled(subject: Subject) -> list[tuple[str, Rule]]:
    """Three faults, the same on every machine: chosen by a checksum of the rule's text."""
    chooser = random.Random(zlib.crc32(subject.rule["expr"].encode()))  # noqa: S311  # no secret
    return chooser.sample(list(mutants(subject.rule)), 3)


def test_every_rule_has_five_mutants_and_every_kind_is_made() -> None:
    made = {name: [what for what, _ in mutants(each.rule)] for name, each in SUBJECTS.items()}
    assert {name: len(each) for name, each in made.items() if len(each) < 5} == {}
    kinds = {what.split()[0] for each in made.values() for what in each}
    assert kinds >= {"threshold", "duration", "label", "comparator", "metric", "for"}


def test_a_sample_of_mutants_is_killed() -> None:
    quick = [each for name, each in SUBJECTS.items() if name in ALERTS | KPIS and name not in SLOW]
    alive = [f"{each.name}: {what}" for each in quick for what in survivors(each, sampled(each))]
    assert len(alive) <= 0.1 * 3 * len(quick), alive


def test_a_fault_that_changes_nothing_survives_beside_one_that_is_found() -> None:
    """The control: forms that are judged together do not kill each other, nor does one that cannot be evaluated."""
    subject = SUBJECTS["PodDown"]
    same, other = subject.rule, {**subject.rule, "for": "6m"}
    doubled = {**subject.rule, "expr": 'up * on (job) up{job!="probe"} == 0'}
    unreadable = {**subject.rule, "expr": "max by ("}
    made = [("same", same), ("later", other), ("many to many", doubled), ("no PromQL", unreadable)]
    assert survivors(subject, made) == ["same"]


@pytest.mark.soak
def test_nine_of_ten_mutants_are_killed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each rule is told as it is done."""

    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stderr.write(f"{text}\n")

    report = run(SUBJECTS, tell)
    assert report["passed"], report


# What is promised of the whole.

PLACE = f'namespace="{burn.NAMESPACE}", app_kubernetes_io_name="forecast"'
ASKED = f'http_requests_total{{{PLACE}, job="p/services", route="/forecast/{{product_id}}"'
ABOUT_IT = ("ErrorBudgetBurn", "BudgetSpent", "ServiceDown", "PodDown")
FORECAST = [
    *of("forecast availability"),
    *of("forecast reachable"),
    *(rule for name, rule in ALERTS.items() if name.startswith(ABOUT_IT)),
]


def assert_fires(
    series: dict[str, str],
    query: str,
    expected: dict[str, bool],
    *,
    step: str = "15s",
    found: list[Rule] = FORECAST,
) -> None:
    """The query has an answer at these times and none at those, after the series were seen from 0 on."""
    case = {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"clamp_max(count({query}) or vector(0), 1)",
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": int(fires)}],
            }
            for at, fires in expected.items()
        ],
    }
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": step, "tests": [case]}
    assert faults(found, tests) == ""


PAGE = 'ALERTS{alertstate="firing", severity="page", service="forecast"}'
PROBE = f'up{{{PLACE}, job="probe"}}'


def test_a_full_outage_pages_within_two_minutes() -> None:
    gone = {f'{ASKED}, status="200"}}': "0+15x240 _x40", PROBE: "1x240 0x40"}
    assert_fires(gone, PAGE, {"60m": False, "62m": True})


def test_failing_every_request_pages_within_two_minutes_though_the_pods_are_there() -> None:
    failing = {
        f'{ASKED}, status="200"}}': "0+15x240 3600x40",
        f'{ASKED}, status="503"}}': "0x240 15+15x40",
        PROBE: "1x280",
    }
    assert_fires(failing, PAGE, {"60m": False, "62m": True})


def test_two_percent_of_errors_page_within_45_minutes() -> None:
    failing = {
        f'{ASKED}, status="200"}}': "0+300x120 36294+294x100",
        f'{ASKED}, status="500"}}': "0x120 6+6x100",
        PROBE: "1x220",
    }
    assert_fires(failing, PAGE, {"70m": False, "105m": True}, step="30s")


ONE_OF_FEW = {
    f'{ASKED}, status="200"}}': "0+1x24 24 24+1x8",
    f'{ASKED}, status="500"}}': "0x24 1x9",
    PROBE: "1x33",
}
"""A request every hour, of which one fails after a day."""

EVER = "last_over_time(ALERTS[2d])"


def test_one_failed_request_of_few_never_fires_anything() -> None:
    assert_fires(ONE_OF_FEW, EVER, {"32h": False}, step="1h")


def test_without_the_least_number_of_failures_it_would() -> None:
    """The control of the test above."""
    careless = [{**rule, "expr": rule["expr"].partition(" and slo:failures")[0]} for rule in FORECAST]
    assert_fires(ONE_OF_FEW, EVER, {"32h": True}, step="1h", found=careless)


def test_missing_data_page_within_five_minutes() -> None:
    lost = {f'{ASKED}, status="200"}}': "0+15x40", PROBE: "1x40"}
    missing = f'ALERTS{{alertname="NoData", alertstate="firing", severity="page", {PLACE}}}'
    assert_fires(lost, missing, {"10m": False, "15m": True}, found=[ALERTS["NoData"]])
