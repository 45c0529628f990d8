"""States that the forecast service can be in, each brought about for real."""

import hashlib
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from apps.forecast.main import create
from ml import folder
from ml.model_store import ModelStore
from tests.apps.client import Client, answering
from tests.apps.forecast.store import DATA_VERSION, KEY, VERSION, Shop
from tests.apps.kept_alive import KeptAlive
from tests.ml.small_models import bundle_bytes
from tests.ml.test_signatures import pair

LATER = "2026-01.aaaaaaaaaaaa"


class Asks(Protocol):
    """Whatever can be asked: an application in this process, or another process."""

    def get(self, path: str) -> httpx.Response:
        """The answer."""
        ...


State = Callable[[Shop, ExitStack, pytest.MonkeyPatch], Asks]


def bundle(shop: Shop) -> Path:
    return shop.root / "bundles" / f"{shop.model_sha256}.tar"


def snapshots(shop: Shop) -> Path:
    return shop.root / "snapshots" / shop.model_sha256


def serving(shop: Shop, stack: ExitStack, **settings: object) -> Client:
    return stack.enter_context(answering(create(shop.settings(**settings))))


def until_ready(client: Client) -> None:
    deadline = time.monotonic() + 10
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def reload_refused(client: Client) -> None:
    assert client.post("/reload", headers={"X-API-Key": KEY}).status_code == 503
    assert 'forecast_loads_total{result="refused"} 1.0' in client.get("/metrics").text


def all_there(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    return serving(shop, stack)


def no_model(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    bundle(shop).unlink()
    return serving(shop, stack)


def another_sha(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    bundle(shop).write_bytes(bundle(shop).read_bytes() + b"\0")
    return serving(shop, stack)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.mark),))


def released(shop: Shop, data: bytes) -> Shop:
    """A shop whose release names these bytes, so their sha256 is right."""
    ModelStore(shop.root).put_bundle(data)
    return replace(shop, model_sha256=hashlib.sha256(data).hexdigest())


def a_pickle(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    mark = shop.root / "exploded"
    client = serving(released(shop, pickle.dumps(Bomb(mark))), stack)
    assert not mark.exists()
    return client


def another_archive(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    whole = bundle(shop).read_bytes()
    return serving(released(shop, whole.replace(b"calibration/", b"calibratiom/")), stack)


def store_down(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    shutil.rmtree(shop.root)
    shop.root.write_bytes(b"")
    return serving(shop, stack)


def no_snapshot(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    shutil.rmtree(snapshots(shop))
    return serving(shop, stack)


def of_another_model(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    other = released(shop, bundle_bytes(shop.history, "ses"))
    taken = other.write_snapshot()
    taken.replace(snapshots(shop) / taken.name)
    return serving(shop, stack)


def of_another_version(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    return serving(shop, stack, model_version=VERSION + 1)


def damaged(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    path = snapshots(shop) / f"{DATA_VERSION}.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    return serving(shop, stack)


def of_another_shape(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    path = snapshots(shop) / f"{DATA_VERSION}.jsonl"
    body = path.read_bytes().partition(b"\n")[2].replace(b'"first_month":', b'"erste_month":', 1)
    label = {"format": 1, "sha256": hashlib.sha256(body).hexdigest()}
    path.write_bytes(json.dumps(label).encode() + b"\n" + body)
    return serving(shop, stack)


def unsigned(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    signers = pair(shop.root.parent, "trainer")[1]
    return serving(shop, stack, signers_file=signers)


def signed_by_another(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    trainer, signers = pair(shop.root.parent, "trainer")
    stranger = pair(shop.root.parent, "stranger")[0]
    store = ModelStore(shop.root, signing_key=trainer)
    store.put_bundle(store.get_bundle(shop.model_sha256))
    shop.write_snapshot(signing_key=stranger)
    return serving(shop, stack, signers_file=signers)


def newer_is_unsigned(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    trainer, signers = pair(shop.root.parent, "trainer")
    ModelStore(shop.root, signing_key=trainer).sign(shop.model_sha256)
    client = serving(shop, stack, signers_file=signers)
    shop.write_snapshot(data_version=LATER)
    reload_refused(client)
    assert client.get("/model-info").json()["data_version"] == DATA_VERSION
    return client


def store_came_back(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    away = shop.root.rename(shop.root.with_name("away"))
    client = serving(shop, stack)
    assert client.get("/ready").status_code == 503
    away.rename(shop.root)
    until_ready(client)
    return client


def store_went_down(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    client = serving(shop, stack)
    shutil.rmtree(shop.root)
    shop.root.write_bytes(b"")
    reload_refused(client)
    return client


def newer_is_damaged(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    client = serving(shop, stack)
    path = shop.write_snapshot(data_version=LATER)
    path.write_bytes(path.read_bytes()[:-7])
    reload_refused(client)
    return client


def snapshots_removed(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    client = serving(shop, stack)
    shutil.rmtree(snapshots(shop))
    reload_refused(client)
    return client


def old(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    client = serving(shop, stack, stale_after_seconds=60)
    assert "forecast_snapshot_stale 1.0" in client.get("/metrics").text
    return client


def disk_full(shop: Shop, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Asks:
    def write(path: Path, _: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(folder, "_write", write)
    client = serving(shop, stack, served_store=shop.root / "served", served_seconds=0.05)
    client.get("/forecast/P0004")
    deadline = time.monotonic() + 10
    while 'forecast_served_files_total{result="failed"}' not in client.get("/metrics").text:
        assert time.monotonic() < deadline
    return client


def forecast_ends(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    variables = shop.variables() | {"FORECAST_DRAIN_SECONDS": "10"}
    return stack.enter_context(KeptAlive.of("apps.forecast", variables, stack))


STATES: dict[str, State] = {
    "model and snapshot are there": all_there,
    "the store has no such model": no_model,
    "the model's file has another sha256": another_sha,
    "the model's file is a pickle": a_pickle,
    "the model's file is an archive of something else": another_archive,
    "the store is down at the start": store_down,
    "the model has no snapshot": no_snapshot,
    "the snapshot is of another model": of_another_model,
    "the snapshot is of another model version": of_another_version,
    "the snapshot is damaged at the start": damaged,
    "the snapshot is whole and of another shape": of_another_shape,
    "the model has no signature, and one is asked for": unsigned,
    "the snapshot was signed by somebody else": signed_by_another,
    "the store came back after the start": store_came_back,
    "the store went down after the start": store_went_down,
    "a newer snapshot is damaged": newer_is_damaged,
    "a newer snapshot has no signature, and one is asked for": newer_is_unsigned,
    "all snapshots were removed after the start": snapshots_removed,
    "the snapshot is old": old,
    "the disk for counts of what was served is full": disk_full,
    "the process is ending": forecast_ends,
}
"""How each is brought about, by its name in docs/serving.md."""
