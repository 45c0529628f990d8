"""Servers to compare, each a process of its own on the same model and rows."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import lightgbm
import mlflow.lightgbm
import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks import history_model
from benchmarks.load_client import request_bytes
from ml import planned
from ml.bundle import unpack
from ml.features import FEATURES, category_totals
from ml.model_store import ModelStore
from ml.product_history import ProductHistory
from tests.apps.forecast.store import Shop, stored_catalogue

CANDIDATE = "lightgbm_tweedie"
START_SECONDS = 120.0
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Rig:
    """A shop whose model is one LightGBM booster, and the same booster as MLflow keeps it."""

    folder: Path
    shop: Shop
    booster: lightgbm.Booster
    rows: NDArray[np.float64]

    @classmethod
    def build(cls, folder: Path, products: int) -> "Rig":
        """Train, forecast and store both forms."""
        shop = stored_catalogue(folder / "store", products, CANDIDATE)
        snapshot = shop.write_snapshot()
        bundle = unpack(ModelStore(shop.root).get_bundle(shop.model_sha256), shop.model_sha256)
        booster = lightgbm.Booster(model_str=str(bundle.predictor.model.state()["trees"]))
        mlflow.lightgbm.save_model(booster, str(folder / "mlflow"))
        history_model.save(folder / "pyfunc", shop.root / "bundles" / f"{shop.model_sha256}.tar", snapshot)
        rows = planned.build(shop.history, category_totals(shop.history), None)
        return cls(folder, shop, booster, rows)

    def sent(self, row: int) -> dict[str, object]:
        """A product's history as its owner would send it."""
        return ProductHistory.of(self.shop.history, row).model_dump()

    def live(self) -> list[bytes]:
        """One history in each request."""
        return [request_bytes("/forecast", json.dumps(self.sent(row)).encode()) for row in range(200)]

    def batch(self) -> list[bytes]:
        """All histories in one request."""
        sent = [self.sent(row) for row in range(self.shop.history.n)]
        return [request_bytes("/forecast", json.dumps(sent).encode())]

    def asked(self) -> list[bytes]:
        """Products by their id."""
        return [request_bytes(f"/forecast/{name}") for name in self.shop.history.product_ids[:200]]

    def invocations(self) -> list[bytes]:
        """The same products as MLflow takes them: one row of features in each request, 0 for what is unknown."""
        bodies = (
            {"dataframe_split": {"columns": FEATURES, "data": [row]}}
            for row in np.nan_to_num(self.rows[:200]).tolist()
        )
        return [request_bytes("/invocations", json.dumps(body).encode()) for body in bodies]

    def histories(self) -> list[bytes]:
        """The same histories as `live`, as MLflow's pyfunc takes them."""
        bodies = ({"dataframe_records": [self.sent(row)]} for row in range(200))
        return [request_bytes("/invocations", json.dumps(body).encode()) for body in bodies]

    def forecast(self, **variables: str) -> tuple[Sequence[str], Mapping[str, str]]:
        """Command and variables of our service, with its log and all it does around an answer."""
        return ("-m", "apps.forecast"), {**self.shop.variables(), **variables}

    def mlflow(self, model: str) -> tuple[Sequence[str], Mapping[str, str]]:
        """Command of MLflow's own server for `mlflow` (the booster) or `pyfunc`, one worker in this environment."""
        options = ("--model-uri", str(self.folder / model), "--env-manager", "local", "--workers", "1")
        return ("-m", "mlflow", "models", "serve", *options, "--host", "127.0.0.1"), {"PYTHONPATH": str(ROOT)}


BARE: Final[tuple[Sequence[str], Mapping[str, str]]] = (
    ("-m", "uvicorn", "benchmarks.bare_route:app", "--no-access-log"),
    {},
)


@dataclass(frozen=True)
class Server:
    """A process with its children, and the port that it listens on."""

    process: psutil.Process
    port: int

    def cpu_seconds(self) -> float:
        """Of the whole tree since its start, user and system."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(times.user + times.system for times in (each.cpu_times() for each in tree))

    def resident_bytes(self) -> int:
        """Of the whole tree, now."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(each.memory_info().rss for each in tree)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], variables: Mapping[str, str], ready: str, log: Path, cores: Sequence[int] = ()
) -> Iterator[Server]:
    """A server from its first 200 on `ready` to its end; its log goes to a file."""
    port = free_port()
    given = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(log.parent),
        **variables,
    }
    given |= {"OMP_NUM_THREADS": "1", "FORECAST_PORT": str(port), "DISABLE_NGINX": "true"}
    line = [sys.executable, *command, *([] if "apps.forecast" in command else ["--port", str(port)])]
    with log.open("wb") as out:
        popen = subprocess.Popen(line, env=given, stdout=out, stderr=out)
        process = psutil.Process(popen.pid)
        if cores:
            process.cpu_affinity(list(cores))
        try:
            _wait(port, ready, popen)
            yield Server(process, port)
        finally:
            for each in [*process.children(recursive=True), process]:
                each.terminate()
            popen.wait(timeout=30)


def _wait(port: int, path: str, popen: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and popen.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}{path}").status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"{popen.args!r} is not ready; its log says why")
