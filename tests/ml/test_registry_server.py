"""The registry on an MLflow server, as the platform runs it, does what the embedded one does."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from ml.registry import Registry
from ml.settings import MlSettings
from tests.ml.small_models import manifest
from tests.scripts.free_port import free_port

pytestmark = pytest.mark.system


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a server whose database and artifacts are its own."""
    port = free_port()
    options = {
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{tmp_path / 'server.sqlite'}",
        "--artifacts-destination": (tmp_path / "of-the-server").as_uri(),
    }
    command = [sys.executable, "-m", "mlflow", "server", *(each for pair in options.items() for each in pair)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < until, (tmp_path / "server.log").read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def answers(url: str) -> bool:
    with suppress(OSError), urlopen(f"{url}/health", timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def test_a_version_its_alias_and_its_artifacts_are_kept_by_the_server(server: str, tmp_path: Path) -> None:
    settings = MlSettings(state=tmp_path / "client", tracking_uri=server)
    version = Registry(settings).register("a" * 64, manifest(), {"wape": 0.4}, {"table.json": "[]"})
    Registry(settings).set_alias("champion", version)
    again = Registry(MlSettings(state=tmp_path / "another-client", tracking_uri=server))
    champion = again.champion()
    assert champion is not None
    assert (champion.version, champion.sha256, champion.aliases) == (1, "a" * 64, ("champion",))
    assert again.artifact(1, "table.json") == b"[]"
    assert not (tmp_path / "client" / "mlflow.sqlite").exists()
