"""The questions of a promotion to the real Prometheus, over pods that count as the services do."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prometheus_client import Gauge

from apps.chassis.metrics import Metrics
from scripts.errors import Refused
from scripts.evidence import soak
from scripts.evidence.prometheus import NotMeasured, Prometheus
from scripts.evidence.record import Drift, Traffic
from scripts.evidence.release_source import Source
from scripts.evidence.rules import Limits
from scripts.history.git import Commit
from scripts.release_file import Release
from tests.scripts.free_port import free_port

pytestmark = pytest.mark.system

RELEASE = Release(image_tag="9c0d7e2", model_version=12, model_sha256="5f0c" * 16)
NAMESPACE = "shop-staging"
SOAK_SECONDS = 8
LIMITS = Limits(
    p95_seconds=0.5, error_share=0.01, min_requests=10, available_share=0.99, longest_gap_seconds=2.5
)


class Pod:
    """Answers scrapes as a forecast pod does; a restart begins all its counters anew."""

    def __init__(self, release: Release = RELEASE) -> None:
        self.restart(release)
        pod = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = pod.metrics.response()
                self.send_response(200)
                self.send_header("Content-Type", str(answer.media_type))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def restart(self, release: Release = RELEASE) -> None:
        metrics = Metrics()
        labels = release.model_dump()
        Gauge("release_info", "x", list(labels), registry=metrics.registry).labels(**labels).set(1)
        drift = Gauge("forecast_drift", "x", ["state"], registry=metrics.registry)
        for state in ("none", "found", "unknown"):
            drift.labels(state).set(state == "none")
        for _ in range(20):
            metrics.observe("GET", "/forecast/{product_id}", 200, 0.03)
        for _ in range(1_000):
            metrics.observe("GET", "/health", 200, 0.0001)
        self.metrics = metrics

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Server:
    """A Prometheus that scrapes pods every half second, each under a namespace of its own or a shared one."""

    def __init__(self, folder: Path, pods: dict[str, list[Pod]]) -> None:
        jobs = [
            f"{{targets: [{pod.address!r}], labels: {{namespace: {namespace}, pod: pod-{number}}}}}"
            for namespace, group in pods.items()
            for number, pod in enumerate(group)
        ]
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\n"
            f"scrape_configs: [{{job_name: pods, static_configs: [{', '.join(jobs)}]}}]\n"
        )
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=error",
            ]
        )
        self.client = Prometheus(self.url)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def until(happened: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)


def source(namespace: str = NAMESPACE) -> Source:
    return Source("staging", namespace, RELEASE, Commit("c" * 40, datetime(2026, 1, 1, tzinfo=UTC), ""))


def observed(server: Server, namespace: str = NAMESPACE) -> tuple[Traffic, Drift]:
    return soak.observed(server.client, lambda: datetime.now(UTC), source(namespace), SOAK_SECONDS, LIMITS)


def value(server: Server, query: str) -> float:
    found = httpx.get(f"{server.url}/api/v1/query", params={"query": query}).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


NAMESPACES = (NAMESPACE, "two-releases", "restarted", "stopped", "drifted", "no-histogram")


@pytest.fixture(scope="module")
def pods() -> Iterator[dict[str, list[Pod]]]:
    found = {namespace: [Pod(), Pod()] for namespace in NAMESPACES}
    found["two-releases"][1].restart(RELEASE.model_copy(update={"model_version": 11}))
    yield found
    for group in found.values():
        for pod in group:
            pod.stop()


@pytest.fixture(scope="module")
def server(pods: dict[str, list[Pod]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """After a soak in which every pod had traffic, and one had its first fault ever."""
    running = Server(tmp_path_factory.mktemp("prometheus"), pods)
    for pod in pods["no-histogram"]:
        pod.metrics.registry.unregister(pod.metrics._seconds)
    until(lambda: is_up(running))
    until(lambda: value(running, "sum(up)") == 2 * len(NAMESPACES))
    time.sleep(SOAK_SECONDS - 3)
    pods[NAMESPACE][0].metrics.observe("GET", "/forecast/{product_id}", 500, 2.0)
    for group in pods.values():
        for pod in group:
            for _ in range(30):
                pod.metrics.observe("GET", "/forecast/{product_id}", 200, 0.03)
    time.sleep(5)
    yield running
    running.stop()


def is_up(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/-/ready").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_healthy_release_is_measured(server: Server) -> None:
    traffic, drift = observed(server)
    assert (traffic.pods, drift.answer, traffic.available_share) == (2, "no drift", 1)
    assert traffic.samples >= 2 * SOAK_SECONDS
    assert 0 < traffic.longest_gap_seconds <= 2.5
    assert 0.025 < traffic.p95_seconds <= 0.05  # the bucket of 30 ms; probes of 0.1 ms do not count
    assert 40 <= traffic.requests <= 120


def test_the_first_fault_of_a_pod_counts_though_its_counter_is_new(server: Server) -> None:
    """The control: `increase` alone does not see it."""
    plain = f'sum(increase(http_requests_total{{namespace="{NAMESPACE}",status="500"}}[{SOAK_SECONDS}s]))'
    assert value(server, plain) == 0
    traffic, _ = observed(server)
    assert traffic.error_share == pytest.approx(1 / traffic.requests, rel=0.01)


def test_two_releases_at_once_are_seen(server: Server) -> None:
    with pytest.raises(Refused) as caught:
        observed(server, "two-releases")
    assert caught.value.reason == "another_release"


def test_a_namespace_that_is_not_scraped_is_empty(server: Server) -> None:
    with pytest.raises(NotMeasured) as caught:
        observed(server, "shop-elsewhere")
    assert caught.value.reason == "metrics_empty"


def test_missing_buckets_are_no_latency(server: Server) -> None:
    with pytest.raises(NotMeasured) as caught:
        observed(server, "no-histogram")
    assert caught.value.reason == "metrics_empty"


def test_a_query_that_prometheus_does_not_understand_is_refused(server: Server) -> None:
    with pytest.raises(NotMeasured, match="parse error") as caught:
        server.client.vector("sum(", datetime.now(UTC))
    assert caught.value.reason == "metrics_status"


BUCKETS = "http_request_duration_seconds_bucket"


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        (f"sum by (le) (rate({BUCKETS}[8s]) * 0)", "metrics_not_finite"),  # no requests
        (f'sum by (le) (rate({BUCKETS}{{le="+Inf"}}[8s]))', "metrics_not_finite"),  # one bucket
        (f'sum by (le) (rate({BUCKETS}{{le!="+Inf"}}[8s]))', "metrics_not_finite"),  # without the last one
        (f"sum(rate({BUCKETS}[8s]))", "metrics_empty"),  # no label le
    ],
)
def test_half_a_histogram_is_no_latency(server: Server, rates: str, reason: str) -> None:
    with pytest.raises(NotMeasured) as caught:
        server.client.vector(f"histogram_quantile(0.95, {rates})", datetime.now(UTC))
    assert caught.value.reason == reason


def test_a_restart_that_resets_the_counters_leaves_no_negative_count(
    server: Server, pods: dict[str, list[Pod]]
) -> None:
    before, _ = observed(server, "restarted")
    for pod in pods["restarted"]:
        pod.restart()
        for _ in range(5):
            pod.metrics.observe("GET", "/forecast/{product_id}", 200, 0.03)
    time.sleep(2)
    after, _ = observed(server, "restarted")
    assert after.requests > 0
    assert after.error_share == before.error_share == 0


def test_drift_anywhere_in_the_soak_counts(server: Server, pods: dict[str, list[Pod]]) -> None:
    gauge = pods["drifted"][0].metrics.registry._names_to_collectors["forecast_drift"]
    assert isinstance(gauge, Gauge)
    gauge.labels("found").set(1)
    time.sleep(1.5)
    pods["drifted"][0].metrics.observe("GET", "/forecast/{product_id}", 200, 0.03)
    gauge.labels("found").set(0)
    time.sleep(1.5)
    _, drift = observed(server, "drifted")
    assert drift.answer == "drift"


def test_pods_that_stopped_are_stale_and_no_longer_all_there(
    server: Server, pods: dict[str, list[Pod]]
) -> None:
    for pod in pods["stopped"]:
        pod.stop()
    until(lambda: value(server, 'sum(up{namespace="stopped"})') == 0)
    time.sleep(3)
    with pytest.raises(Refused) as caught:
        observed(server, "stopped")
    assert caught.value.reason == "soak_stale"


def test_a_server_that_ended_cannot_be_reached(tmp_path: Path) -> None:
    gone = Prometheus(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotMeasured) as caught:
        gone.now()
    assert caught.value.reason == "metrics_unreachable"
