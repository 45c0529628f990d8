"""What the API server's answers mean, from one that a test makes up."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lightkube import KubeConfig

from scripts.running.kubernetes import ClusterUnavailable, Kubernetes, NoAnswer, Pod
from tests.scripts.free_port import free_port

Answer = Callable[[BaseHTTPRequestHandler], None]

PODS = "/api/v1/namespaces/shop/pods"
FORBIDDEN = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "code": 403}


def stored(name: str = "forecast-1", phase: str = "Running", **fields: Any) -> dict[str, Any]:
    main = {"name": "forecast", "image": "r/forecast:1", "ports": [{"containerPort": 8001}]}
    pod: dict[str, Any] = {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"app.kubernetes.io/name": "forecast"}},
        "spec": {"containers": [{"name": "sidecar", "image": "s:1"}, main]},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                _status("sidecar", "s@sha256:0", 5),
                _status("forecast", "r/forecast@sha256:1", 2),
            ],
        },
    }
    for part, values in fields.items():
        pod[part].update(values)
    return pod


def _status(name: str, image_id: str, restarts: int) -> dict[str, Any]:
    return {
        "name": name, "imageID": image_id, "restartCount": restarts, "ready": True, "image": "x", "state": {},
    }  # fmt: skip


def say(status: int, content: object) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drip(handler: BaseHTTPRequestHandler) -> None:
    """One byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass


def hang(_: BaseHTTPRequestHandler) -> None:
    time.sleep(1)


@contextmanager
def answering(answers: dict[str, Answer]) -> Iterator[int]:
    """The port of a server that answers by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.get(self.path.partition("?")[0], say(404, {"kind": "Status", "message": self.path}))(self)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def api_server(answers: dict[str, Answer]) -> Iterator[Kubernetes]:
    with answering(answers) as port:
        cluster = kubernetes_at(port)
        try:
            yield cluster
        finally:
            cluster.close()


def kubernetes_at(port: int) -> Kubernetes:
    config = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    return Kubernetes(KubeConfig.from_dict(config).get(), timeout_seconds=0.3)


def listed(*pods: dict[str, Any]) -> dict[str, Answer]:
    return {PODS: say(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": list(pods)})}


POD = Pod("forecast-1", "u", "forecast", "r/forecast:1", "", 8001, ready=True, ending=False, restarts=0)
ASKED = f"{PODS}/forecast-1:8001/proxy/model-info"


def test_a_pod_is_its_main_container() -> None:
    with api_server(listed(stored())) as cluster:
        (pod,) = cluster.pods("shop")
    assert pod == Pod(
        name="forecast-1", uid="uid-forecast-1", service="forecast", image="r/forecast:1",
        image_id="r/forecast@sha256:1", port=8001, ready=True, ending=False, restarts=2,
    )  # fmt: skip


def test_pods_that_have_ended_are_left_out_and_those_that_are_ending_are_not() -> None:
    ending = stored("forecast-0", metadata={"deletionTimestamp": "2026-11-01T00:00:00Z"})
    pods = listed(stored("b", "Failed"), stored("c", "Succeeded"), stored(), ending)
    with api_server(pods) as cluster:
        found = cluster.pods("shop")
    assert [(pod.name, pod.ending) for pod in found] == [("forecast-0", True), ("forecast-1", False)]


def test_a_pod_that_only_starts_has_no_image_id_and_is_not_ready() -> None:
    starting = stored(status={"phase": "Pending", "conditions": None, "containerStatuses": None})
    with api_server(listed(starting)) as cluster:
        (pod,) = cluster.pods("shop")
    assert (pod.image_id, pod.ready, pod.restarts) == ("", False, 0)


def test_a_pod_is_asked_through_the_api_server() -> None:
    with api_server({ASKED: say(200, {"image_tag": "1"})}) as cluster:
        assert json.loads(cluster.get("shop", POD, "/model-info")) == {"image_tag": "1"}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (say(503, {"type": "model-not-loaded"}), "status 503: .*model-not-loaded"),
        (say(403, {"title": "the pod says no"}), "status 403"),
        (say(404, {"kind": "Status", "message": "gone"}), "status 404"),
        (say(302, b""), "status 302"),
        (say(200, b"x" * 70_000), "more than 65536 bytes"),
        (hang, "does not answer in time"),
        (drip, "does not answer in time"),
    ],
)
def test_a_pod_that_does_not_answer_is_no_answer(answer: Answer, text: str) -> None:
    with api_server({ASKED: answer}) as cluster, pytest.raises(NoAnswer, match=text):
        cluster.get("shop", POD, "/model-info")


def test_what_we_may_not_do_is_no_fault_of_the_pods() -> None:
    with api_server({PODS: say(403, FORBIDDEN), ASKED: say(403, FORBIDDEN)}) as cluster:
        with pytest.raises(ClusterUnavailable, match="cannot be listed"):
            cluster.pods("shop")
        with pytest.raises(ClusterUnavailable, match="may not be asked"):
            cluster.get("shop", POD, "/model-info")


def test_an_api_server_that_is_not_there_or_hangs_is_named() -> None:
    cluster = kubernetes_at(free_port())
    with pytest.raises(ClusterUnavailable, match="cannot be reached"):
        cluster.pods("shop")
    with pytest.raises(ClusterUnavailable, match="cannot be reached"):
        cluster.get("shop", POD, "/model-info")
    with api_server({PODS: hang}) as slow, pytest.raises(ClusterUnavailable, match="in time"):
        slow.pods("shop")


ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts"


def objects(answers: dict[str, Answer]) -> list[dict[str, Any]]:
    with api_server(answers) as cluster:
        return cluster.objects("shop", "argoproj.io/v1alpha1", "rollouts")


def test_objects_of_any_kind_are_listed_and_an_unknown_kind_has_none() -> None:
    some = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}, "x": "y" * 100_000}]
    assert objects({ROLLOUTS: say(200, {"kind": "RolloutList", "items": some})}) == some
    assert objects({}) == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (say(403, FORBIDDEN), "rollouts of shop cannot be listed: .*no"),
        (say(500, b"oops"), "cannot be listed: oops"),
        (hang, "in time"),
        (drip, "in time"),
    ],
)
def test_objects_that_cannot_be_listed_are_not_none(answer: Answer, text: str) -> None:
    with pytest.raises(ClusterUnavailable, match=text):
        objects({ROLLOUTS: answer})


@pytest.mark.parametrize("text", [None, "{}", "current-context: x\nclusters: []\ncontexts: []\n", "]"])
def test_without_a_kubeconfig_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    config = tmp_path / "config"
    if text is not None:
        config.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(ClusterUnavailable, match="set KUBECONFIG"):
        Kubernetes()
