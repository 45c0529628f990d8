"""An MLflow server as the platform runs it, on a database of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from tests.scripts.free_port import free_port


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The URL of a server whose database and artifacts are in this folder."""
    port = free_port()
    options = {
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": database(folder),
        "--artifacts-destination": (folder / "of-the-server").as_uri(),
    }
    command = [sys.executable, "-m", "mlflow", "server", *(each for pair in options.items() for each in pair)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 60
        while not answers(url):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < until, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def database(folder: Path) -> str:
    """Where the server of this folder keeps what it knows."""
    return f"sqlite:///{folder / 'server.sqlite'}"


def answers(url: str) -> bool:
    """Whether the server is up."""
    with suppress(OSError), urlopen(f"{url}/health", timeout=1) as answer:
        return bool(answer.status == 200)
    return False
