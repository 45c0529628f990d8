"""Everything that the console asks, each behind something that can be broken in four ways."""

import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx

from ml.model_store import EVALUATION, ModelStore
from scripts.errors import Broken
from scripts.forges.forge import PullRequest
from scripts.forges.local import LocalForge
from tests.apps.faulty_link import DOWN, HALF_OPEN, RESET, SLOW, Link, linked

TOKEN = "a-token-of-the-tests"
WAITED_SECONDS = 0.6
"""How long the console waits for anything here, beside its pages."""

_SHIM = """#!/bin/sh
case "$(cat {fault})" in
{down}|{reset}) exit 128 ;;
"{slow}") sleep 2 ;;
"{half_open}") sleep 20 ;;
esac
exec {git} "$@"
"""


class Faulty(Protocol):
    """What can be broken."""

    fault: str | None


class FaultyGit:
    """A `git` that is first on the path, and that fails, or takes two seconds, or does not end."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file, self.path = folder / "fault", f"{folder}:{os.environ['PATH']}"
        self.fault = None
        shim = folder / "git"
        shim.write_text(
            _SHIM.format(
                fault=self._file,
                down=DOWN,
                reset=RESET,
                slow=SLOW,
                half_open=HALF_OPEN,
                git=shutil.which("git"),
            )
        )
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)

    @property
    def fault(self) -> str | None:
        return self._file.read_text() or None

    @fault.setter
    def fault(self, fault: str | None) -> None:
        self._file.write_text(fault or "")


class LinkedForge(LocalForge):
    """A forge whose answers come over a link."""

    link: Link

    def pull_requests(self, *prefixes: str, people_of_ended: bool = True) -> list[PullRequest]:
        try:
            httpx.get(f"http://127.0.0.1:{self.link.port}/forge", timeout=WAITED_SECONDS, trust_env=False)
        except httpx.HTTPError as error:
            raise Broken(f"the forge does not answer ({type(error).__name__})") from error
        return super().pull_requests(*prefixes, people_of_ended=people_of_ended)


def around(environment: str, commit: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """What MLflow, Prometheus, Alertmanager and Argo CD answer, by path or by a word of the query."""
    ours = {"namespace": f"purchase-prediction-{environment}"}
    tags = {"model_sha256": "5" * 64, "data_version": "2025-12.0123456789ab", "candidate": "blend_of_tests"}
    version = {
        "version": "7",
        "run_id": "r7",
        "creation_timestamp": 1_767_600_000_000,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    alert = {
        "labels": ours | {"alertname": "ErrorBudgetBurnFast", "severity": "page"},
        "annotations": {"summary": "collector spends its budget of latency 14.4 times too fast"},
        "startsAt": "2026-01-05T08:00:00.000Z",
    }
    application = {
        "metadata": {"name": ours["namespace"]},
        "status": {
            "sync": {"status": "Synced", "revision": commit},
            "health": {"status": "Healthy"},
            "operationState": {"phase": "Succeeded", "finishedAt": "2026-01-05T08:00:00Z"},
        },
    }
    pods = ours | {name: str(value) for name, value in release.items()}
    return {
        "/api/v2/alerts": [alert, {**alert, "labels": {"alertname": "Watchdog"}}],
        "/api/v1/applications": {"items": [application]},
        "/api/2.0/mlflow/registered-models/get": {
            "registered_model": {"aliases": [{"alias": "challenger", "version": "7"}]}
        },
        "/api/2.0/mlflow/model-versions/search": {"model_versions": [version]},
        "verdict.json": {
            "answer": "better",
            "against": "mix",
            "ratio": 0.957,
            "lower": 0.931,
            "upper": 0.984,
        },
        "calibration.json": {
            "intervals": [{"level": 0.5, "covered": 0.512}, {"level": 0.9, "covered": 0.889}]
        },
        "backtest.json": {
            "levels": [
                {"level": level, "below": level - off, "up_to": level + 0.04}
                for level, off in ((0.05, 0.03), (0.25, 0.06), (0.5, 0.05), (0.75, 0.02), (0.95, -0.01))
            ],
            "pit": [0.11, 0.1, 0.09, 0.1, 0.1, 0.11, 0.1, 0.09, 0.09, 0.11],
        },
        "slo:budget_left:30d": [(ours | {"service": "collector", "slo": "latency"}, "0.875")],
        "kpi:events:rate5m": [({"status": "accepted"}, "1234")],
        "kpi:events_refused": [(ours, "0.015")],
        "kpi:event_lag": [(ours, "7200")],
        "release_info": [(pods, "3")],
    }


@contextmanager
def answers(told: Mapping[str, Any]) -> Iterator[int]:
    """The port of a server that gives these answers by path, by a word of the query or by name of an artifact."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            found = told.get(parts.path, told.get(query.get("path", [""])[0]))
            if parts.path == "/api/v1/query":
                series = next(value for key, value in told.items() if key in query["query"][0])
                at = float(query["time"][0])
                result = [{"metric": labels, "value": [at, value]} for labels, value in series]
                found = {"status": "success", "data": {"resultType": "vector", "result": result}}
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Links are cut under it; that is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class World:
    """What can be broken, by name, and the settings that lead there."""

    faulty: Mapping[str, Faulty]
    settings: Mapping[str, Any]
    forge: Link


@contextmanager
def world(folder: Path, ports: Mapping[str, int], told: Mapping[str, Any]) -> Iterator[World]:
    """Everything that is asked; `ports` are those of the forecast and the decision service."""
    store = ModelStore(folder / "store")
    month = {"month": "2026-01", "model_version": 3, "naive_wape": 0.6, "pinball": 0.3, "coverage_80": 0.811}
    month |= {"wape": 0.407, "bias": 0.012, "revenue_wape": 0.377}
    impact = {"month": "2026-01", "units": 900, "stock_outs_avoided_units": 42, "avoided_cents": 1}
    report = {"created_at": "2026-02-03T04:45:00+00:00", "months": [month], "impact": [impact]}
    store.put_report(EVALUATION, json.dumps(report).encode())
    with ExitStack() as stack:
        port = stack.enter_context(answers(told))
        outer = ("forge", "MLflow", "Prometheus", "Alertmanager", "Argo CD")
        targets = {**ports, **dict.fromkeys(outer, port)}
        links = {name: stack.enter_context(linked(target)) for name, target in targets.items()}
        urls = {name: f"http://127.0.0.1:{link.port}" for name, link in links.items()}
        settings = {
            "forecast_url": urls["forecast"],
            "decision_url": urls["decision"],
            "model_registry": urls["MLflow"],
            "prometheus_url": urls["Prometheus"],
            "alertmanager_url": urls["Alertmanager"],
            "argo_url": urls["Argo CD"],
            "argo_token": TOKEN,
            "model_store": str(folder / "store"),
            "timeout_seconds": WAITED_SECONDS,
            "refresh_seconds": 0.2,
        }
        git = FaultyGit(folder / "bin")
        yield World({**links, "Git": git}, settings, links["forge"])
