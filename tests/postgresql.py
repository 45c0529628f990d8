"""A PostgreSQL of Debian's that a test or a benchmark starts, stops and takes down as it likes."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pg8000.native import Connection

from ml.inbox_location import DatabaseUrl, Password
from ml.migrations.inbox import migrations_of
from tests.scripts.free_port import free_port

BIN = Path("/usr/lib/postgresql/15/bin")
OWNER = "owner"


@dataclass(frozen=True)
class Server:
    """One cluster of databases on a free port of this machine; its superuser needs no password."""

    folder: Path
    port: int

    @property
    def url(self) -> DatabaseUrl:
        return DatabaseUrl("127.0.0.1", self.port, "inbox", OWNER)

    def start(self, *options: str) -> None:
        """Start, or start again, with `-c` options beside the usual; returns when it answers."""
        given = [f"listen_addresses=127.0.0.1 port={self.port}", f"unix_socket_directories={self.folder}"]
        line = " ".join(f"-c {word}" for text in (*given, *options) for word in text.split())
        self._control("-w", "-l", self.folder / "log", "-o", line, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is what a power cut leaves, without the cut of the disk's cache."""
        self._control("-m", mode, "-w", "stop")

    def is_running(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    def pause(self) -> None:
        """SIGSTOP to every process of the server."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def run(self, statement: str, database: str = "inbox") -> list[list[object]]:
        """The rows of a statement, on a connection of its own."""
        connection = Connection(OWNER, host="127.0.0.1", port=self.port, database=database, timeout=20)
        try:
            return [list(row) for row in connection.run(statement) or []]
        finally:
            connection.close()

    def new_inbox(self) -> DatabaseUrl:
        """An empty, migrated inbox in place of the one before."""
        self.run("DROP DATABASE IF EXISTS inbox WITH (FORCE)", "postgres")
        self.run("CREATE DATABASE inbox", "postgres")
        migrations_of(self.url, Password()).run()
        return self.url

    def _control(self, *arguments: str | Path) -> None:
        command = as_postgres(BIN / "pg_ctl", "-D", self.folder / "data", *arguments)
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder)

    def _signal(self, number: signal.Signals) -> None:
        main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for process in (main, *map(int, children)):
            os.kill(process, number)


def as_postgres(*command: str | Path) -> list[str]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return [str(part) for part in command]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *map(str, command)]


@contextmanager
def postgresql(*options: str, within: Path | None = None) -> Iterator[Server]:
    """A new server, running with these `name=value` options; gone at the end with all it held."""
    with TemporaryDirectory(dir=within) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = Server(folder, free_port())
        initdb = as_postgres(BIN / "initdb", "-D", folder / "data", "-A", "trust", "-U", OWNER, "--no-sync")
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
        server.start(*options)
        try:
            yield server
        finally:
            if server.is_running():
                server.go_on()
                server.stop()
