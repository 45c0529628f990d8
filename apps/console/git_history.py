"""The deployment log: what Git says was released, when, by whom and on which evidence."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from apps.console.deployments import History, Release, deployments_of, parse_evidence, parse_release
from apps.console.kept import Kept, Memory, Unanswered
from apps.console.settings import ConsoleSettings

MAX_COMMITS = 200
_NAME = "git"
_FIELDS = "%H%n%aI%n%an%n%s%n%B"  # the first four hold no line end, and a commit holds no NUL


@dataclass(frozen=True)
class Asked:
    """What an environment should run by the trunk, and the commit that last said so."""

    environment: str
    release: Release
    commit: str
    at: datetime


@dataclass(frozen=True)
class Log:
    """The history of this environment, and what every environment should run now."""

    history: History
    environments: tuple[Asked, ...]


class GitHistory:
    """Reads environments from a bare repository; what was read is kept until the trunk moves."""

    def __init__(self, settings: ConsoleSettings, memory: Memory) -> None:
        self._repository: Path = settings.repository
        self._trunk = f"refs/heads/{settings.trunk}"
        self._timeout_seconds = settings.timeout_seconds
        self._release_path = _release_path(settings.environment)
        self._evidence_folder = f"environments/{settings.environment}/evidence/"
        self._turn, self._memory = CapacityLimiter(1), memory
        self._head, self._log = "", Log(History(), ())

    async def read(self) -> Kept[Log]:
        """The trunk as it is now, or as it was last read and why it cannot be read."""
        return await self._memory.ask(_NAME, self._current_log)

    async def releases_at(self, places: Sequence[tuple[str, str]]) -> list[Release | None]:
        """The release that a commit has for an environment; None where it has none that can be read.

        Args:
            places: Commit ids, each with the name of an environment.

        Raises:
            Unanswered: The repository cannot be read.
        """
        names = [f"{commit}:{_release_path(environment)}" for commit, environment in places]
        files = await run_sync(self._files, names, limiter=self._turn) if names else []
        return [parse_release(data) for data in files]

    async def _current_log(self) -> Log:
        """Git runs beside the event loop, once at a time."""
        return await run_sync(self._current, limiter=self._turn)

    def _current(self) -> Log:
        head = self._git("rev-parse", "--verify", "--quiet", f"{self._trunk}^{{commit}}").strip()
        if head != self._head:
            self._head, self._log = head, Log(self._read(head), tuple(self._environments(head)))
        return self._log

    def _environments(self, head: str) -> Iterator[Asked]:
        folders = self._git("ls-tree", "-d", "--name-only", head, "environments/").splitlines()
        files = self._files([f"{head}:{folder}/release.yaml" for folder in folders])
        for folder, release in zip(folders, map(parse_release, files), strict=True):
            if release is not None:
                place = ("--", f"{folder}/release.yaml")
                last = self._git("log", "-1", "--first-parent", "--format=%H %aI", head, *place)
                commit, at = last.split()
                yield Asked(folder.rpartition("/")[2], release, commit, datetime.fromisoformat(at))

    def _read(self, head: str) -> History:
        selection = ("--first-parent", f"--max-count={MAX_COMMITS}", head, "--", self._release_path)
        log = self._git("log", "-z", f"--format={_FIELDS}", *selection)
        commits = [entry.split("\n", 4) for entry in log.split("\0") if entry]
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
            raise Unanswered(f"git did not answer within {self._timeout_seconds:g} s") from None
        except FileNotFoundError:
            raise Unanswered("git is not installed here") from None
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip() or f"{self._trunk} is not there"
            raise Unanswered(f"git cannot read {folder}: {reason}")
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


def _release_path(environment: str) -> str:
    return f"environments/{environment}/release.yaml"


def history_of(kept: Kept[Log]) -> History:
    """The deployments as they were last read; none before the first time."""
    return kept.value.history if kept.value else History()
