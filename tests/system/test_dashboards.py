"""A real Prometheus that scrapes the really running services answers every panel, and its alarms arrive."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from ml.model_store import DELIVERY, EVALUATION, ModelStore
from scripts.observability.objectives import FOLDER
from tests.apps.collector.test_collector import HEADERS, KEY, event
from tests.apps.console.repository import promoted
from tests.apps.forecast.store import stored_shop
from tests.apps.forecast.test_figures import DELIVERIES, evaluation, month
from tests.apps.process import Process, listener, running
from tests.environments.rendered import SERVICES
from tests.observability.alertmanager import Alertmanager
from tests.observability.prometheus import Prometheus, quick, until

pytestmark = pytest.mark.system

PANELS: list[tuple[str, str, str]] = [
    (path.stem, panel["title"], target["expr"])
    for path in sorted((FOLDER / "dashboards").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
]
NOT_HERE = {
    "argo_workflows_total_count",
    "argo_workflows_cronworkflows_triggered_total",
    "rollout_info",
    "api_keys",
    "api_keys_refused",
}
"""There are no workflows and rollouts here and no file of API keys; whatever else a panel asks for, services expose."""


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def services(stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Process]:
    """Each as a process of its own, after a few requests."""
    folder = tmp_path_factory.mktemp("services")
    shop = stored_shop(folder / "store")
    shop.write_snapshot()
    store = ModelStore(shop.root)
    store.put_report(EVALUATION, json.dumps(evaluation(month("2025-12", 3))).encode())
    store.put_report(DELIVERY, json.dumps(DELIVERIES).encode())
    found: dict[str, Process] = {}

    def start(name: str, variables: dict[str, str]) -> None:
        bound = stack.enter_context(listener())
        found[name] = stack.enter_context(running(f"apps.{name}", variables, bound))

    start("collector", {"COLLECTOR_INBOX": str(folder / "inbox"), "COLLECTOR_API_KEY": KEY})
    start("forecast", shop.variables())
    start("decision", {"DECISION_FORECAST_URL": found["forecast"].url})
    others = {f"CONSOLE_{name.upper()}_URL": each.url for name, each in found.items()}
    start("console", {"CONSOLE_REPOSITORY": str(promoted(folder / "repository.git").path), **others})
    return found


def ask(services: dict[str, Process], number: int) -> None:
    """A request of each kind."""
    httpx.post(
        f"{services['collector'].url}/events", headers=HEADERS, json=event(f"e{number}")
    ).raise_for_status()
    httpx.get(f"{services['forecast'].url}/forecast/P0004").raise_for_status()
    httpx.get(f"{services['decision'].url}/decision/P0004").raise_for_status()
    httpx.get(f"{services['console'].url}/sign-in", timeout=60).raise_for_status()


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    running = Alertmanager(tmp_path_factory.mktemp("alertmanager"))
    running.wait()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def prometheus(
    services: dict[str, Process], alertmanager: Alertmanager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    addresses = {name: each.url.removeprefix("http://") for name, each in services.items()}
    ask(services, 0)
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), addresses, quick(), alertmanager.address)
    until(lambda: len(running.ask("up == 1")) == 2 * len(SERVICES))
    for number in range(1, 4):
        ask(services, number)
    until(lambda: [each for each in running.ask("kpi:forecast_coverage:share1d") if each["value"][1] == "1"])
    until(lambda: len(running.ask('slo:budget_left:30d{slo="latency"}')) == len(SERVICES))
    yield running
    running.stop()


def asked(running: Prometheus, expr: str) -> list[dict[str, Any]]:
    return running.ask(expr.replace("$namespace", ".+"))


@pytest.mark.parametrize(
    ("board", "title", "expr"), PANELS, ids=[f"{board}: {title}" for board, title, _ in PANELS]
)
def test_a_panel_shows_something(board: str, title: str, expr: str, prometheus: Prometheus) -> None:
    metrics = set(re.findall(r"[a-z_:0-9]+(?=[{\[])", expr))
    if metrics & NOT_HERE:
        assert asked(prometheus, expr) == []
        assert not [metric for metric in metrics & NOT_HERE if prometheus.ask(metric)]
    else:  # a rule of the chain may have its first turn only now
        until(lambda: [each for each in asked(prometheus, expr) if each["value"][1] != "NaN"], seconds=20)


def test_a_misspelt_panel_shows_nothing(prometheus: Prometheus) -> None:
    """The control."""
    for _, _, expr in PANELS[:3]:
        assert asked(prometheus, expr)
        assert asked(prometheus, re.sub(r"(?<=[a-z0-9])(?=[{\[])", "x", expr)) == []


def told(alertmanager: Alertmanager, receiver: str) -> set[tuple[str, str]]:
    return {
        (alert["labels"]["alertname"], alert["labels"]["service"])
        for _, body, _ in list(alertmanager.told.messages)
        if body["receiver"] == receiver
        for alert in body["alerts"]
        if alert["status"] == "firing"
    }


def test_a_service_that_ends_wakes_somebody_and_the_heartbeat_goes_on(
    services: dict[str, Process], prometheus: Prometheus, alertmanager: Alertmanager
) -> None:
    """The last test of this file: the service stays away."""
    page = ("ServiceDown", "decision")
    assert page not in told(alertmanager, "on-call")
    until(lambda: ("Watchdog", "alerting") in told(alertmanager, "dead-man"))
    services["decision"].popen.kill()
    services["decision"].popen.wait()
    assert until(lambda: page in told(alertmanager, "on-call")) < 60
    assert page not in told(alertmanager, "office")
