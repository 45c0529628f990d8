"""A candidate is asked what this release is asked; callers notice nothing of it, whatever it does."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apps.forecast import shadow
from apps.forecast.main import create
from tests.apps.client import Client, answering
from tests.apps.forecast.store import Shop

SENT = {"product_id": "ali@example.com", "category": "Ali", "first_month": "2025-10", "units": [3, 0, 5]}


KNOWN = ("/forecast/P0001", "/forecast?limit=2")


class Candidate:
    """Answers like a forecast service, the mean plus one grown by a factor; remembers what it was asked."""

    def __init__(self, factor: float = 1.0, **fault: Any) -> None:
        self.factor, self.fault, self.asked = factor, fault, list[tuple[str, str, dict[str, str], bytes]]()
        self.truth: dict[str, bytes] = {}
        candidate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                candidate.asked.append((self.command, self.path, dict(self.headers), body))
                time.sleep(candidate.fault.get("sleeps", 0))
                answer = candidate.fault.get("says", candidate.answer(self.path))
                self.send_response(candidate.fault.get("status", 200))
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> bytes:
        said = json.loads(self.truth.get(path, b'{"mean": 12345, "month": "x", "model_version": 9}'))
        for each in said.get("forecasts", [said]):
            each["mean"] += (each["mean"] + 1) * (self.factor - 1)
            each["model_version"] = 9
        return json.dumps(said).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def mirrored(shop: Shop, candidate: Candidate, **changes: object) -> Iterator[Client]:
    shop.write_snapshot()
    with answering(create(shop.settings())) as alone:
        candidate.truth = {path: alone.get(path).content for path in KNOWN}
    fields: dict[str, object] = {
        "shadow_url": candidate.url,
        "shadow_share": 1,
        "shadow_store": shop.root / "shadow",
        "served_seconds": 1e6,
        "refresh_seconds": 1e6,
    }
    try:
        with answering(create(shop.settings(**(fields | changes)))) as client:
            yield client
    finally:
        candidate.close()


def told(client: Client) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if "shadow" in sample.name]
    return {
        each.labels.get("result") or each.labels.get("le") or each.name: each.value
        for each in samples
        if not each.name.endswith("_created")
    }


def until(client: Client, result: str, count: int) -> dict[str, float]:
    deadline = time.monotonic() + 10
    while (found := told(client)).get(result, 0) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def lines(shop: Shop) -> list[dict[str, Any]]:
    (file,) = (shop.root / "shadow").rglob("*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_candidate_is_asked_the_same_and_its_difference_is_told_and_kept(own: Shop) -> None:
    candidate = Candidate(factor=2)
    with mirrored(own, candidate) as client:
        for count, path in enumerate(KNOWN, start=1):
            client.get(path)
            until(client, "differs", count)
        metrics = told(client)
    asked = [(method, path) for method, path, _, _ in candidate.asked]
    assert asked == [("GET", "/forecast/P0001"), ("GET", "/forecast?limit=2")]
    assert (metrics["0.5"], metrics["1.0"]) == (0, 3)
    head, *rows = lines(own)
    assert (head["rows"], head["image_tag"], head["model_sha256"]) == (3, "9c0d7e2", own.model_sha256)
    assert [row["product_id"] for row in rows] == ["P0001", "P0000", "P0001"]
    assert all(row["shadow_mean"] == 2 * row["mean"] + 1 and row["shadow_model_version"] == 9 for row in rows)


def test_equal_answers_are_the_same(own: Shop) -> None:
    candidate = Candidate()
    with mirrored(own, candidate) as client:
        client.get("/forecast/P0001")
        assert until(client, "same", 1)["0.0"] == 1


def test_of_what_a_caller_sends_no_name_is_kept_and_no_key_goes_on(own: Shop) -> None:
    candidate = Candidate()
    with mirrored(own, candidate) as client:
        client.post("/forecast", json=SENT, headers={"X-API-Key": "secret", "Authorization": "secret"})
        until(client, "differs", 1)
    ((method, path, headers, body),) = candidate.asked
    assert (method, path, json.loads(body)) == ("POST", "/forecast", SENT)
    assert "secret" not in str(headers)
    assert "ali" not in json.dumps(lines(own)).lower()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"says": b"{"},
        {"says": b"[]"},
        {"says": b'{"mean": "x", "month": 1, "model_version": 1}'},
        {"says": b'{"forecasts": []}'},
        {"says": b'"' + b"x" * 70_000 + b'"'},
    ],
    ids=str,
)
def test_a_candidate_that_answers_badly_is_counted_and_nobody_else_hears_of_it(
    own: Shop, fault: dict[str, Any]
) -> None:
    candidate = Candidate(**fault)
    with mirrored(own, candidate) as client:
        for count in (1, 2):
            assert client.get("/forecast/P0001").status_code == 200
            until(client, "failed", count)
    assert not (own.root / "shadow").exists()


def test_a_candidate_that_is_not_there_is_counted(own: Shop) -> None:
    candidate = Candidate()
    candidate.server.server_close()
    with mirrored(own, candidate) as client:
        assert client.get("/forecast/P0001").status_code == 200
        until(client, "failed", 1)


def test_a_candidate_that_hangs_holds_up_no_caller_and_no_more_than_the_queue_waits(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(shadow, "MOST_WAITING", 8)
    candidate = Candidate(sleeps=3)
    with mirrored(own, candidate) as client:
        slowest = 0.0
        for _ in range(30):
            start = time.monotonic()
            assert client.get("/forecast/P0001").status_code == 200
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < shadow.TIMEOUT_SECONDS
        assert until(client, "dropped", 15)["dropped"] <= 30 - shadow.MOST_WAITING


def test_rows_are_bounded_and_those_that_are_not_kept_are_counted(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "MOST_ROWS", 3)
    candidate = Candidate(factor=2)
    with mirrored(own, candidate) as client:
        for count in range(1, 6):
            client.get("/forecast/P0001")
            until(client, "differs", count)
        assert told(client)["forecast_shadow_lost_rows_total"] == 2
    assert len(lines(own)) == 1 + 3


def test_without_a_url_nothing_is_mirrored_and_without_a_share_of_one_only_some(own: Shop) -> None:
    candidate = Candidate(factor=2)
    with mirrored(own, candidate, shadow_url=None) as client:
        client.get("/forecast/P0001")
        assert "differs" not in told(client)
    assert candidate.asked == []
    candidate = Candidate(factor=2)
    with mirrored(own, candidate, shadow_share=0.25) as client:
        for _ in range(8):
            client.get("/forecast/P0001")
        client.get("/model-info")
        client.get("/forecast/NOPE")
        until(client, "differs", 2)
    assert len(candidate.asked) == 2


def test_a_store_that_cannot_be_written_costs_rows_and_nothing_else(own: Shop, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    candidate = Candidate(factor=2)
    with mirrored(own, candidate, shadow_store=blocked / "x", served_seconds=0.05) as client:
        client.get("/forecast/P0001")
        until(client, "forecast_shadow_lost_rows_total", 1)
        assert client.get("/forecast/P0001").status_code == 200
