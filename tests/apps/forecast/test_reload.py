"""A newer snapshot takes over under load; whatever is wrong with one changes nothing but a metric."""

import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from apps.forecast.loaded import Loaded
from apps.forecast.main import create
from apps.forecast.serving import Serving
from benchmarks.load_client import Load, request_bytes
from ml.bundle import unpack
from ml.errors import BundleRefused
from ml.model_store import ModelStore
from tests.apps.client import Client, answering
from tests.apps.forecast.store import (
    DATA_VERSION,
    KEY,
    VERSION,
    Shop,
    a_month_later,
    stored_catalogue,
    stored_shop,
)
from tests.apps.process import listener, running

LATER = "2026-01.aaaaaaaaaaaa"
SEED = 20261123
HEADERS = {"X-API-Key": KEY}


def flipped(data: bytes, generator: np.random.Generator) -> bytes:
    """The bytes with one of them changed."""
    place, change = int(generator.integers(len(data))), int(generator.integers(1, 256))
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


def refusals(client: Client) -> float:
    found = re.search(r'forecast_loads_total{result="refused"} (\S+)', client.get("/metrics").text)
    return float(found[1]) if found else 0.0


def check_flips_of_a_snapshot(own: Shop, flips: int) -> None:
    own.write_snapshot()
    generator = np.random.default_rng(SEED)
    with answering(create(own.settings(refresh_seconds=1e6))) as client:
        before = client.get("/forecast/P0001").content
        path = own.write_snapshot(history=a_month_later(own.history), data_version=LATER)
        whole = path.read_bytes()
        for _ in range(flips):
            path.write_bytes(flipped(whole, generator))
            assert client.post("/reload", headers=HEADERS).status_code == 503
        assert client.get("/forecast/P0001").content == before
        assert client.get("/ready").status_code == 200
        assert refusals(client) == flips
        path.write_bytes(whole)
        assert client.post("/reload", headers=HEADERS).json()["changed"] is True, (
            "the control: whole it is taken"
        )


def check_flips_of_a_bundle(own: Shop, flips: int) -> None:
    own.write_snapshot()
    bundle = own.root / "bundles" / f"{own.model_sha256}.tar"
    whole, generator, registry = bundle.read_bytes(), np.random.default_rng(SEED), CollectorRegistry()
    serving = Serving(own.settings(), registry)

    async def loads() -> list[bool]:
        found = []
        for _ in range(flips):
            bundle.write_bytes(flipped(whole, generator))
            found.append(await serving.load())
        bundle.write_bytes(whole)
        return [*found, await serving.load()]

    assert asyncio.run(loads()) == [False] * flips + [True]
    assert registry.get_sample_value("forecast_loads_total", {"result": "refused"}) == flips


def test_no_flipped_byte_of_a_snapshot_is_served(own: Shop) -> None:
    check_flips_of_a_snapshot(own, 100)


def test_no_flipped_byte_of_a_bundle_is_served(own: Shop) -> None:
    check_flips_of_a_bundle(own, 100)


@pytest.mark.soak
def test_none_of_a_thousand_flipped_bytes_is_served(own: Shop, tmp_path: Path) -> None:
    check_flips_of_a_snapshot(own, 1000)
    check_flips_of_a_bundle(stored_shop(tmp_path / "second"), 1000)


def test_a_snapshot_of_any_other_shape_is_refused_and_never_a_defect(own: Shop) -> None:
    """Flipped bytes under a digest that fits them: what can be read is served, the rest refused by name."""
    whole = own.write_snapshot().read_bytes().partition(b"\n")[2]
    bundle = unpack(ModelStore(own.root).get_bundle(own.model_sha256), own.model_sha256)
    generator, outcomes = np.random.default_rng(SEED), Counter[str]()
    for _ in range(150):
        head, _, rest = whole.partition(b"\n")
        body = flipped(head, generator) + b"\n" + rest
        label = json.dumps({"format": 1, "sha256": hashlib.sha256(body).hexdigest()}).encode()
        try:
            Loaded.of(bundle, label + b"\n" + body, VERSION, 60)
        except BundleRefused:
            outcomes["refused"] += 1
        else:
            outcomes["served"] += 1
    assert outcomes["refused"] > 50
    assert outcomes["served"] > 0, "the control: not every byte says something"


def test_pods_look_for_a_newer_snapshot_by_themselves(own: Shop) -> None:
    own.write_snapshot()
    with answering(create(own.settings(refresh_seconds=0.02))) as client:
        assert client.get("/model-info").json()["data_version"] == DATA_VERSION
        own.write_snapshot(history=a_month_later(own.history), data_version=LATER)
        deadline = time.monotonic() + 10
        while client.get("/model-info").json()["data_version"] != LATER:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_snapshot_that_is_served_already_is_not_read_again(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_snapshot()
    read: list[int] = []
    newest = ModelStore.newest_snapshot

    def noting(self: ModelStore, model_sha256: str, size_bytes: int = -1) -> tuple[str, bytes]:
        found = newest(self, model_sha256, size_bytes)
        read.append(len(found[1]))
        return found

    monkeypatch.setattr(ModelStore, "newest_snapshot", noting)
    with answering(create(own.settings(refresh_seconds=1e6))) as client:
        for _ in range(5):
            assert client.post("/reload", headers=HEADERS).json()["changed"] is False
    assert len(read) == 6
    assert max(read[1:]) <= 1024 < read[0]


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


async def reload_under_load(port: int, own: Shop, reloads: int, requests: int, pid: int) -> list[int]:
    """Resident bytes after each reload; every answer in between is one of two."""
    store = ModelStore(own.root)
    bundle = unpack(store.get_bundle(own.model_sha256), own.model_sha256)
    path = own.write_snapshot(history=a_month_later(own.history), data_version=LATER)
    files = [
        path.read_bytes(),
        own.write_snapshot().read_bytes().replace(b"2025-12.0123456789ab", LATER.encode()),
    ]
    files[1] = relabelled(files[1])
    wanted = {Loaded.of(bundle, data, VERSION, 1e10).snapshot.answers["P0001"] for data in files}
    assert len(wanted) == 2
    seen: Counter[bytes] = Counter()
    load = Load(
        port, [request_bytes("/forecast/P0001")], np.zeros(requests), lambda _, __, body: seen.update([body])
    )
    running_load = asyncio.create_task(load.run(8))
    sizes = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for number in range(reloads):
            path.write_bytes(files[number % 2])
            answer = await client.post("/reload", headers=HEADERS)
            assert (answer.status_code, answer.json()["changed"]) == (200, True)
            sizes.append(resident_bytes(pid))
        assert not running_load.done(), "the load ended before the reloads did"
    answers = await running_load
    assert answers.errors == 0
    assert seen.keys() == wanted
    assert min(seen.values()) > requests / 20
    return sizes


def relabelled(data: bytes) -> bytes:
    """A changed snapshot under the digest that it has now."""
    body = data.partition(b"\n")[2]
    label = {"format": 1, "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(label, separators=(",", ":")).encode() + b"\n" + body


def check_reloads(own: Shop, reloads: int, requests: int) -> list[int]:
    own.write_snapshot(data_version=LATER)
    with listener() as bound, running("apps.forecast", own.variables(), bound) as process:
        work = reload_under_load(process.port, own, reloads, requests, process.popen.pid)
        return asyncio.run(work)


def test_reloads_under_load_lose_no_request_mix_no_answer_and_keep_no_memory(own: Shop) -> None:
    sizes = check_reloads(own, 24, 6_000)
    assert max(sizes[-6:]) <= 1.05 * max(sizes[4:10]), sizes


@pytest.mark.soak
def test_two_hundred_reloads_under_load_leave_memory_flat(tmp_path: Path) -> None:
    sizes = check_reloads(stored_catalogue(tmp_path / "store", 2_000), 200, 60_000)
    early, late = float(np.median(sizes[20:60])), float(np.median(sizes[-40:]))
    assert late <= 1.02 * early, sizes
