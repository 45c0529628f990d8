"""The composed platform, up: answered, healthy, watched, and back after a kill with all that it acknowledged."""

from collections.abc import Callable, Iterator

import httpx
import pg8000.native
import pytest
import yaml

from tests.apps.collector.senders import NO_FAULTS, faults, sending
from tests.compose.podman_compose import containers
from tests.compose.stack import BACK_SECONDS, PROJECT, SERVICES, Stack, stack, until

pytestmark = pytest.mark.compose

WARM_SECONDS = 180


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack, and nothing of it when the tests are through."""
    with stack(tmp_path_factory.mktemp("compose")) as running:
        yield running
        seen = {f"{PROJECT}_database_1", f"pod_{PROJECT}", f"{PROJECT}_database", f"{PROJECT}_default"}
        assert seen <= set(running.left()), "the control: a container, the pod, a volume, the network"
    assert running.left() == []
    assert not running.state.exists()


def stored(up: Stack) -> list[str]:
    """Every id of an event in the inbox, read past the collector."""
    password = (up.state / "secrets" / "inbox_password").read_text()
    with pg8000.native.Connection(
        "inbox", host="127.0.0.1", port=up.ports["database"], database="inbox", password=password
    ) as db:
        rows = db.run("SELECT event_id FROM events WHERE event_id ~ '^s[0-9]+-[0-9]+-[0-9]+$'")
    return [str(row[0]) for row in rows or []]


def test_a_forecast_is_answered_by_a_first_model(up: Stack) -> None:
    assert up.answer["forecast"]["model_version"] == up.answer["release"]["model_version"] == 1


def test_every_service_is_up_and_healthy(up: Stack) -> None:
    assert sorted(containers(PROJECT)) == SERVICES
    assert [name for name in SERVICES if not up.healthy(name)] == []


def test_what_is_served_is_what_the_release_file_says(up: Stack) -> None:
    served = httpx.get(f"{up.url('forecast')}/model-info").raise_for_status().json()
    shown = up.executed("console", "git", "-C", "/repository", "show", "main:environments/local/release.yaml")
    for name, value in up.answer["release"].items():
        assert served[name] == value
        assert f'{name}: "{value}"' in shown.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_is_root_and_no_program_can_be_changed(up: Stack, service: str) -> None:
    assert up.executed(service, "id", "-u").stdout.strip() not in {"", "0"}
    assert "Read-only file system" in up.executed(service, "touch", "/usr/bin/new").stderr


def test_a_decision_needs_the_forecast_by_its_name_on_the_network(up: Stack) -> None:
    product = up.answer["forecast"]["product_id"]
    answer = httpx.get(f"{up.url('decision')}/decision/{product}", timeout=20).raise_for_status().json()
    assert answer["model_version"] == up.answer["release"]["model_version"]


def test_prometheus_reaches_every_service_and_its_heartbeat_reaches_on_call(up: Stack) -> None:
    def ask(query: str) -> list[dict[str, dict[str, str]]]:
        answer = httpx.get(f"{up.url('prometheus')}/api/v1/query", params={"query": query}).json()
        return list(answer["data"]["result"])

    jobs = yaml.safe_load((up.state / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    asked = {(job["job_name"], each["targets"][0]) for job in jobs for each in job["static_configs"]}
    until(
        lambda: {(each["metric"]["job"], each["metric"]["instance"]) for each in ask("up == 1")} == asked, 60
    )
    until(lambda: ask('ALERTS{alertname="Watchdog", alertstate="firing"}'), 60)

    def heard() -> bool:
        text = httpx.get(f"{up.url('oncall')}/metrics").text
        return any(line.startswith("oncall_heartbeat_age_seconds ") and float(line.split()[1]) < 60
                   for line in text.splitlines())  # fmt: skip

    until(heard, 90)


def test_a_killed_collector_comes_back_and_nothing_acknowledged_is_lost(up: Stack) -> None:
    before = up.restarts("collector")
    with sending(up.ports["collector"], seed=7, senders=2) as senders:
        for _ in range(2):
            until(lambda: senders.told().acknowledged, 60)
            up.kill("collector")
            heard = len(senders.told().acknowledged)
            until(lambda heard=heard: len(senders.told().acknowledged) > heard + 100, BACK_SECONDS)  # type: ignore[misc]
    told = senders.told()
    assert up.restarts("collector") == before + 2
    assert faults(told, stored(up)) == NO_FAULTS
    assert faults(told, stored(up)[1:])["lost"] + faults(told, stored(up)[1:])["halves"] > 0, "the control"


def test_a_killed_database_comes_back_and_nothing_acknowledged_is_lost(up: Stack) -> None:
    with sending(up.ports["collector"], seed=8, senders=2) as senders:
        until(lambda: senders.told().acknowledged, 60)
        up.kill("database")
        heard = len(senders.told().acknowledged)
        until(lambda: len(senders.told().acknowledged) > heard + 100, BACK_SECONDS)
    assert faults(senders.told(), stored(up))["lost"] == 0


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(name, marks=() if name == "forecast" else pytest.mark.soak)
        for name in SERVICES
        if name not in {"collector", "database"}
    ],
)
def test_a_killed_service_comes_back_healthy(up: Stack, service: str) -> None:
    up.kill(service)
    until(lambda: up.healthy(service), BACK_SECONDS)


def test_a_warm_start_answers_within_three_minutes(
    up: Stack, record_property: Callable[[str, object], None]
) -> None:
    up.run("down")
    assert containers(PROJECT) == {}
    again = up.run("up", "--no-build", "--image-tag", up.answer["release"]["image_tag"])
    record_property("seconds_until_answered", again["seconds_until_answered"])
    assert again["release"] == up.answer["release"]
    assert again["forecast"] == up.answer["forecast"]
    assert again["seconds_until_answered"] <= WARM_SECONDS
