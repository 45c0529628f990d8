"""What was served is counted by model, snapshot and product, outside of requests and with nothing of a caller."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.forecast import served
from apps.forecast.main import create
from ml import folder
from tests.apps.client import Client, answering
from tests.apps.forecast.store import DATA_VERSION, KEY, VERSION, Shop, a_month_later

LATER = "2026-01.aaaaaaaaaaaa"

SENT = {"product_id": "ali@example.com", "category": "Ali", "first_month": "2025-10", "units": [3, 0, 5]}


def files(shop: Shop) -> list[list[dict[str, Any]]]:
    """Lines of every file that was written, read without the code under test, oldest file first."""
    paths = sorted((shop.root / "served").rglob("*.jsonl"), key=lambda path: path.name)
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


def kept(shop: Shop, **changes: object) -> Any:
    fields = {"served_store": shop.root / "served", "served_seconds": 1e6, "refresh_seconds": 1e6}
    return answering(create(shop.settings(**(fields | changes))))


def until_told(client: Client, metric: str) -> None:
    deadline = time.monotonic() + 10
    while metric not in client.get("/metrics").text:
        assert time.monotonic() < deadline


def test_each_product_is_counted_by_how_it_was_served(own: Shop) -> None:
    own.write_snapshot()
    with kept(own) as client:
        for path in ("P0001", "%20p0001", "P0003", "NOPE"):
            client.get(f"/forecast/{path}")
        client.get("/forecast", params={"limit": 2})
        client.post("/forecast", json=[SENT, SENT])
        loaded = client.get("/model-info").json()
    ((head, *lines),) = files(own)
    assert head.pop("since") <= head.pop("until")
    assert len(head.pop("sha256")) == 64
    assert head == {
        "format": 1,
        "model_version": VERSION,
        "model_sha256": loaded["model_sha256"],
        "data_version": DATA_VERSION,
        "image_tag": "9c0d7e2",
        "live": 2,
    }
    assert lines[:-1] == [
        {"product_id": "P0000", "asked": 0, "listed": 1},
        {"product_id": "P0001", "asked": 2, "listed": 1},
        {"product_id": "P0003", "asked": 1, "listed": 0},
    ]
    assert set(lines[-1]["live"]) == set(served.KEPT_OF_LIVE)


def test_nothing_that_a_caller_sent_is_kept(own: Shop) -> None:
    own.write_snapshot()
    with kept(own, live_sample_share=1) as client:
        client.post("/forecast", json=SENT)
        client.get("/forecast/ali@example.com")
    (lines,) = files(own)
    assert len([line for line in lines if "live" in line]) == 2, "the head, and the one sample"
    assert "ali" not in json.dumps(lines).lower()


def test_of_live_forecasts_a_share_is_kept_and_never_more_than_the_bound(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_snapshot()
    with kept(own, live_sample_share=0.1) as client:
        client.post("/forecast", json=[SENT] * 45)
    monkeypatch.setattr(served, "MOST_SAMPLES", 3)
    with kept(own, live_sample_share=1) as client:
        client.post("/forecast", json=[SENT] * 45)
    assert [(len(lines) - 1, lines[0]["live"]) for lines in files(own)] == [(5, 45), (3, 45)]


def test_each_snapshot_has_its_own_counts(own: Shop) -> None:
    own.write_snapshot()
    with kept(own) as client:
        client.get("/forecast/P0001")
        own.write_snapshot(history=a_month_later(own.history), data_version=LATER)
        client.post("/reload", headers={"X-API-Key": KEY})
        client.get("/forecast/P0001")
    assert [(lines[0]["data_version"], lines[1]["asked"]) for lines in files(own)] == [
        (DATA_VERSION, 1),
        (LATER, 1),
    ]


def test_counts_that_could_not_be_written_are_written_with_the_next_ones(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_snapshot()
    write: Callable[[Path, bytes], None] = folder._write

    def full(path: Path, _: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with kept(own, served_seconds=0.05, live_sample_share=1) as client:
        monkeypatch.setattr(folder, "_write", full)
        for _ in range(3):
            assert client.get("/forecast/P0001").status_code == 200
        client.post("/forecast", json=SENT)
        until_told(client, 'files_total{result="failed"}')
        client.get("/forecast/P0001")
        monkeypatch.setattr(folder, "_write", write)
    lines = [line for each in files(own) for line in each]
    assert sum(line.get("asked", 0) for line in lines) == 4
    assert len([line for line in lines if isinstance(line.get("live"), dict)]) == 1


def test_a_store_that_never_comes_back_costs_bounded_memory(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "MOST_UNWRITTEN", 2)
    (own.root / "served").write_bytes(b"")
    own.write_snapshot()
    with kept(own, served_seconds=0.02) as client:
        for day in range(5):
            own.write_snapshot(data_version=f"2026-0{day + 1}.aaaaaaaaaaaa")
            client.post("/reload", headers={"X-API-Key": KEY})
            client.get("/forecast/P0001")
        until_told(client, "forecast_served_lost_total 3.0")


def test_without_a_place_nothing_is_kept(own: Shop) -> None:
    own.write_snapshot()
    with answering(create(own.settings())) as client:
        client.get("/forecast/P0001")
    assert sorted(path.name for path in own.root.iterdir()) == ["bundles", "snapshots"]
