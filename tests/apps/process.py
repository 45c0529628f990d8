"""A service as a real process on a socket that the test owns, as a supervisor would start it."""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any


@dataclass
class Process:
    """A running service; `readiness` is what it said of itself before it took its first request."""

    popen: subprocess.Popen[bytes]
    port: int
    readiness: dict[str, Any]
    parent_end: int
    files: tuple[IO[bytes], IO[bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lose_parent(self) -> None:
        """Close the pipe end that the parent of the process holds."""
        os.close(self.parent_end)
        self.parent_end = -1

    def ended(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr once the process is gone."""
        code = self.popen.wait(timeout=20)
        return code, _text(self.files[0]), _text(self.files[1])


def listener() -> socket.socket:
    """A listening socket on a free port of this machine."""
    return socket.create_server(("127.0.0.1", 0), backlog=128)


@contextmanager
def running(
    module: str, variables: Mapping[str, str], bound: socket.socket, within: Sequence[str] = ()
) -> Iterator[Process]:
    """`python -m module` on the listening socket, from its readiness line on; killed at the end.

    `within` is a command that ends by becoming the one that follows it.

    Output goes to files: nobody empties a pipe while the test asks, and a full one would stop the service.
    """
    parent_read, parent_write = os.pipe()
    ready_read, ready_write = os.pipe()
    descriptors = {"LISTEN_FD": bound.fileno(), "PARENT_PIPE_FD": parent_read, "READY_FD": ready_write}
    with TemporaryFile() as output, TemporaryFile() as errors:
        popen = subprocess.Popen(
            [*within, sys.executable, "-m", module],
            env={
                "PATH": os.environ["PATH"],
                **{name: str(fd) for name, fd in descriptors.items()},
                **variables,
            },
            pass_fds=tuple(descriptors.values()),
            stdout=output,
            stderr=errors,
        )
        os.close(parent_read)
        os.close(ready_write)
        process = Process(popen, bound.getsockname()[1], {}, parent_write, (output, errors))
        try:
            process.readiness = _readiness(ready_read)
            yield process
        finally:
            popen.kill()
            popen.wait()
            os.close(ready_read)
            if process.parent_end >= 0:
                process.lose_parent()


def _readiness(ready_read: int, timeout_seconds: float = 120) -> dict[str, Any]:
    readable, _, _ = select.select([ready_read], [], [], timeout_seconds)
    assert readable, "the service said nothing in time"
    with os.fdopen(os.dup(ready_read)) as lines:
        said = lines.read()
    answer: dict[str, Any] = json.loads(said) if said else {}
    return answer


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
