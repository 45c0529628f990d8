"""The deployment log: what Git says was released, when, by whom and on which evidence."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from apps.console.deployments import History, deployments_of, parse_evidence, parse_release
from apps.console.settings import ConsoleSettings

MAX_COMMITS = 200
_FIELDS = "%H%n%aI%n%an%n%s"  # none of them can hold a line end, and a commit holds no NUL


class Unreadable(Exception):
    """The repository does not answer; the text says why."""


class GitHistory:
    """Reads one environment's history from a bare repository; kept until the trunk moves."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._repository: Path = settings.repository
        self._trunk = f"refs/heads/{settings.trunk}"
        self._timeout_seconds = settings.timeout_seconds
        self._release_path = f"environments/{settings.environment}/release.yaml"
        self._evidence_folder = f"environments/{settings.environment}/evidence/"
        self._turn = CapacityLimiter(1)
        self._head, self._history = "", History()

    async def read(self) -> History:
        """The history on the trunk as it is now; git runs beside the event loop, once at a time.

        Raises:
            Unreadable: There is no such repository or trunk, or git did not answer in time.
        """
        return await run_sync(self._current, limiter=self._turn)

    def _current(self) -> History:
        head = self._git("rev-parse", "--verify", "--quiet", f"{self._trunk}^{{commit}}").strip()
        if head != self._head:
            self._head, self._history = head, self._read(head)
        return self._history

    def _read(self, head: str) -> History:
        selection = ("--first-parent", f"--max-count={MAX_COMMITS}", head, "--", self._release_path)
        log = self._git("log", "-z", f"--format={_FIELDS}", *selection)
        commits = [entry.split("\n") for entry in log.split("\0") if entry]
        releases = map(
            parse_release, self._files([f"{commit[0]}:{self._release_path}" for commit in commits])
        )
        readable = [(commit, found) for commit, found in zip(commits, releases, strict=True) if found]
        # A revert removes the evidence of what it takes back, so each is read from its own commit.
        papers = self._files(
            [f"{commit[0]}:{self._evidence_folder}{found.name}.json" for commit, found in readable]
        )
        return History(tuple(deployments_of(readable, map(parse_evidence, papers))))

    def _files(self, names: Sequence[str]) -> list[bytes]:
        """Contents of `<commit>:<path>` by one git process; empty where there is no such file."""
        output = self._run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
        contents = []
        for _ in names:
            header, _, output = output.partition(b"\n")
            size = int(header.split()[-1]) if header.split()[1:2] == [b"blob"] else -1
            contents.append(output[: max(size, 0)])
            output = output[size + 1 :]
        return contents

    def _git(self, *arguments: str) -> str:
        return self._run(*arguments).decode(errors="replace")

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        folder = str(self._repository)
        command = ["git", "-c", f"safe.directory={folder}", "--git-dir", folder, *arguments]
        try:
            done = subprocess.run(
                command,
                env=_environment(),
                input=stdin,
                capture_output=True,
                timeout=self._timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreadable(f"git did not answer within {self._timeout_seconds:g} s") from None
        except FileNotFoundError:
            raise Unreadable("git is not installed here") from None
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip() or f"{self._trunk} is not there"
            raise Unreadable(f"git cannot read {folder}: {reason}")
        return done.stdout


def _environment() -> dict[str, str]:
    """Nobody's configuration, no prompt, and English messages."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
