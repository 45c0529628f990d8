"""The Redis of environments/platform, as Debian has it: its arguments and accounts, on a free port of this machine."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.environments.rendered import manifests, named
from tests.scripts.free_port import free_port

PASSWORDS = {"staging": "one-for-the-tests", "production": "two-for-the-tests"}


@dataclass
class RedisServer:
    """A server that can be stopped, paused and started again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, environment: str = "staging", password: str | None = None) -> str:
        return f"redis://{environment}:{password or PASSWORDS[environment]}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers."""
        (container,) = named(manifests("platform"), "Deployment", "rate-limits")["spec"]["template"]["spec"][
            "containers"
        ]
        given = {"--port": str(self.port), "--aclfile": str(self.folder / "users.acl")}
        words = list(container["args"])
        for name, value in given.items():
            words[words.index(name) + 1] = value
        program = shutil.which("redis-server") or "redis-server"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, *words, "--bind", "127.0.0.1"], cwd=self.folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """As a pod that is killed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Half open: connections are taken and nothing comes."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)


def users() -> str:
    """The file of accounts as External Secrets would make it."""
    secret = named(manifests("platform"), "ExternalSecret", "rate-limits-users")["spec"]["target"]
    return re.sub(
        r"{{ \.(\w+) }}", lambda found: PASSWORDS[found[1]], secret["template"]["data"]["users.acl"]
    )


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server, gone at the end."""
    with TemporaryDirectory(prefix="redis-") as folder:
        (Path(folder) / "users.acl").write_text(users())
        server = RedisServer(Path(folder), free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()
