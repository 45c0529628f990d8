"""A command that runs when a test has ended, also one that was killed and could tidy nothing up itself."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def afterwards(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[int]:
    """Run a command once this block, or the process in it, has ended.

    Its own session, so it outlives whoever is killed with the test's process group; it waits for the end of a pipe.

    Yields:
        The pipe's end, to hand to a child whose own end has to be waited for too.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    waiting = ["sh", "-c", 'read -r _; exec "$@" </dev/null', "sh", *command]
    read, write = os.pipe()
    waiter = subprocess.Popen(
        waiting, cwd=folder, env=variables, stdin=read, stdout=subprocess.DEVNULL, start_new_session=True
    )
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)
        if code := waiter.wait():
            raise subprocess.CalledProcessError(code, list(command))
