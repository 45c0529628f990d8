"""What stands around the services is read as it is written there, and what is not known stays unknown."""

from datetime import UTC, datetime

import httpx
import pytest

from apps.console.argo import Applications, synced
from apps.console.calibration_chart import pit_chart, reliability
from apps.console.deployments import Release
from apps.console.figures import Reported, measured
from apps.console.firing import Alerts, firing
from apps.console.git_history import Asked
from apps.console.kept import Unanswered
from apps.console.kpis import past_of
from apps.console.matrix import matrix
from apps.console.model_registry import RegisteredVersion
from apps.console.registered import Level, registered
from apps.forecast.schemas import EvaluationReport
from ml.errors import ModelNotFound
from scripts.evidence.prometheus import Prometheus

AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
ONE = Release(image_tag="9c0d7e2", model_version=1, model_sha256="1" * 64)
TWO = Release(image_tag="9c0d7e2", model_version=2, model_sha256="2" * 64)


def application(name: str, revision: str) -> dict[str, object]:
    status = {"sync": {"status": "Synced", "revision": revision}, "health": {"status": "Healthy"}}
    return {"metadata": {"name": name}, "status": status}


def test_the_matrix_has_the_own_environment_first_and_says_who_agrees() -> None:
    asked = [Asked(name, ONE, "a" * 40, AT) for name in ("production", "staging")]
    found = Applications.model_validate(
        {"items": [application("purchase-prediction-staging", "a" * 40), application("other", "b" * 40)]}
    )
    (staging,) = synced(found)
    pods = (Reported("staging", ONE, 2), Reported("staging", TWO, 1))
    first, second = matrix(asked, {"staging": (staging, ONE)}, pods, "staging")
    assert (first.environment, first.synced_agrees, first.pods_agree) == ("staging", True, False)
    assert (second.environment, second.synced_agrees, second.pods_agree) == ("production", None, None)


def test_an_account_that_may_see_no_application_sees_none() -> None:
    assert synced(Applications.model_validate_json('{"items": null}')) == ()


@pytest.mark.parametrize("revision", ["main", "a" * 39, "a" * 40 + "\nHEAD:secret", ""])
def test_what_is_no_commit_is_not_asked_of_git(revision: str) -> None:
    found = Applications.model_validate({"items": [application("purchase-prediction-staging", revision)]})
    assert synced(found)[0].commit is None


def test_alarms_of_other_environments_are_not_ours_and_the_watchdog_is_no_alarm() -> None:
    def alert(name: str, severity: str = "ticket", **labels: str) -> dict[str, object]:
        return {
            "labels": {"alertname": name, "severity": severity} | labels,
            "startsAt": "2026-01-05T08:00:00Z",
        }

    sent = [
        alert("Watchdog", "none"),
        alert("Ours", namespace="purchase-prediction-staging"),
        alert("Theirs", namespace="purchase-prediction-production"),
        alert("Everybodys", "page"),
        alert("OfTheCluster", namespace="monitoring"),
    ]
    found = firing(Alerts.validate_python(sent), "staging")
    assert [each.name for each in found.alerts] == ["Everybodys", "Ours", "OfTheCluster"]
    assert found.heard
    assert not firing(Alerts.validate_python(sent[1:]), "staging").heard


def prometheus(series: dict[str, list[tuple[dict[str, str], str]]]) -> Prometheus:
    def answer(request: httpx.Request) -> httpx.Response:
        query, at = request.url.params["query"], float(request.url.params["time"])
        found = next((value for key, value in series.items() if key in query), [])
        result = [{"metric": labels, "value": [at, value]} for labels, value in found]
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    return Prometheus("http://prometheus.example", None, httpx.MockTransport(answer))


def test_figures_are_those_of_prometheus_and_without_a_series_there_is_none() -> None:
    pods = {"namespace": "purchase-prediction-staging"} | {
        key: str(value) for key, value in ONE.model_dump().items()
    }
    found = measured(
        prometheus(
            {
                "budget": [({"service": "a", "slo": "x"}, "0.9"), ({"service": "b", "slo": "y"}, "-0.1")],
                "events:rate": [({"status": "accepted"}, "60")],
                "release_info": [(pods, "2"), (pods | {"namespace": "elsewhere"}, "1")],
            }
        ),
        "staging",
        AT,
    )
    assert [(each.service, each.left) for each in found.budgets] == [("b", -0.1), ("a", 0.9)]
    assert (found.events_per_minute, found.refused_share) == ({"accepted": 60.0}, None)
    assert found.reported == (Reported("staging", ONE, 2),)


def test_a_figure_that_is_no_number_is_no_answer() -> None:
    with pytest.raises(Unanswered, match="NaN"):
        measured(prometheus({"lag": [({}, "NaN")]}), "staging", AT)


def test_past_figures_are_of_the_live_model_where_a_month_of_it_is_over() -> None:
    month = {
        "month": "2026-01",
        "wape": 0.4,
        "naive_wape": 0.6,
        "bias": 0.0,
        "pinball": 0.3,
        "coverage_80": 0.8,
    }
    months = [month | {"model_version": 1}, month | {"model_version": 2, "month": "2026-02"}]
    impact = {"units": 9, "stock_outs_avoided_units": 4, "avoided_cents": 5}
    impacts = [impact | {"month": "2026-01"}, impact | {"month": "all"}]
    report = EvaluationReport.model_validate({"created_at": AT, "months": months, "impact": impacts})
    own, other = past_of(report, 1), past_of(report, 7)
    assert (own.month and own.month.month, other.month and other.month.month) == ("2026-01", "2026-02")
    assert own.impact is not None
    assert own.impact.month == "2026-01"
    assert past_of(None, 1).month is None
    older = report.model_copy(update={"impact": None})
    assert past_of(older, 1).impact is None


class Papers:
    """A registry with two versions, of which the first has papers that nobody can read."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def newest(self, most: int, /) -> list[tuple[RegisteredVersion, tuple[str, ...]]]:
        versions = [RegisteredVersion(n, str(n) * 64, "v", "mix", f"r{n}", AT) for n in (2, 1)]
        none: tuple[str, ...] = ()
        return [(version, none) for version in versions][:most]

    def artifact_of(self, run_id: str, name: str, /) -> bytes:
        self.asked.append(f"{run_id}/{name}")
        if run_id == "r1":
            return b"{"
        if name == "backtest.json":
            return b'{"levels": [{"level": 0.5, "below": 0.4, "up_to": 0.6}], "pit": [0.5, 0.5]}'
        raise ModelNotFound(name)


def test_papers_are_read_once_and_those_that_nobody_can_read_are_none() -> None:
    registry = Papers()
    first = registered(registry, None)
    two, one = first.find(2), first.find(1)
    assert two is not None
    assert two.papers is not None
    assert (two.papers.verdict, two.papers.backtest and two.papers.backtest.pit) == (None, (0.5, 0.5))
    assert one is not None
    assert one.papers is not None
    assert not one.papers.are_there
    assert registered(registry, first) == first
    assert registry.asked.count("r2/backtest.json") == 1
    assert registry.asked.count("r1/backtest.json") == 2, "they may come"


def test_a_quantile_whose_level_lies_outside_of_what_was_measured_is_marked() -> None:
    right, wrong = reliability(
        [Level(level=0.5, below=0.4, up_to=0.6), Level(level=0.9, below=0.5, up_to=0.6)]
    )
    assert (right.right, wrong.right) == (True, False)
    assert right.top < 120 < right.bottom  # the diagonal at one half
    flat = pit_chart([0.25] * 4)
    assert {bar.y for bar in flat.bars} == {flat.edge}
