"""The deployment log: what Git says was released, when, by whom and on which evidence."""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from apps.console.deployments import History, Release, deployments_of, packed_evidence, parse_release
from apps.console.kept import Kept, Memory, Unanswered
from apps.console.settings import ConsoleSettings

FIRST_PART, NEXT_PART = 200, 1_000
"""Commits that are read before the first page, and at a time beside the pages."""
_LOOKS_SECONDS = 1.0
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


@dataclass(frozen=True)
class _Part:
    """Commits of the release file, newest first, with what they left; those without a release are passed over.

    `oldest` is the last commit that was looked at, None where there is nothing before it.
    """

    commits: list[tuple[list[str], Release]] = field(default_factory=list)
    papers: list[bytes] = field(default_factory=list)
    oldest: str | None = None

    def then(self, older: "_Part") -> "_Part":
        """Both."""
        return _Part(self.commits + older.commits, self.papers + older.papers, older.oldest)

    def history(self) -> History:
        """The deployments; without what lies before it the oldest commit only says what was replaced."""
        found = tuple(deployments_of(self.commits, self.papers))
        return History(found) if self.oldest is None else History(found[:-1] or found, is_whole=False)


class GitHistory:
    """Reads environments from a bare repository; what was read is kept, and only what is new on the trunk is read.

    The newest releases are read for the first page, all that are older beside the pages.
    """

    def __init__(self, settings: ConsoleSettings, memory: Memory) -> None:
        self._repository: Path = settings.repository
        self._trunk = f"refs/heads/{settings.trunk}"
        self._timeout_seconds = settings.timeout_seconds
        self._release_path = _release_path(settings.environment)
        self._evidence_folder = f"environments/{settings.environment}/evidence/"
        self._turn, self._memory = CapacityLimiter(1), memory
        self._older_turn = CapacityLimiter(1)
        self._head, self._read, self._log = "", _Part(), Log(History(), ())

    async def read(self) -> Kept[Log]:
        """The trunk as it is now, or as it was last read and why it cannot be read."""
        return await self._memory.ask(_NAME, self._current_log)

    async def keep(self) -> None:
        """Read what is older, part by part, until it is cancelled; pages do not wait for it."""
        while True:
            try:
                while (oldest := self._read.oldest) is not None:
                    part = await run_sync(self._part, oldest, limiter=self._older_turn)
                    await run_sync(self._append, oldest, part, limiter=self._turn)
            except Unanswered:
                pass  # a page says so, and what is there is shown
            await asyncio.sleep(_LOOKS_SECONDS)

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
            self._follow(head)
        return self._log

    def _follow(self, head: str) -> None:
        """Read what came since; all of it anew where the trunk was written anew."""
        environments = tuple(self._environments(head))
        if self._head in self._git("rev-list", "--first-parent", head).split():
            read = self._selected(head, f"^{self._head}").then(self._read)
        else:
            read = self._selected(head, most=FIRST_PART)
        self._head, self._read, self._log = head, read, Log(read.history(), environments)

    def _part(self, oldest: str) -> _Part:
        return self._selected("--skip=1", oldest, most=NEXT_PART)

    def _append(self, oldest: str, part: _Part) -> None:
        if self._read.oldest == oldest:  # else the trunk was written anew meanwhile
            self._read = self._read.then(part)
            self._log = Log(self._read.history(), self._log.environments)

    def _environments(self, head: str) -> Iterator[Asked]:
        folders = self._git("ls-tree", "-d", "--name-only", head, "environments/").splitlines()
        files = self._files([f"{head}:{folder}/release.yaml" for folder in folders])
        for folder, release in zip(folders, map(parse_release, files), strict=True):
            if release is not None:
                place = ("--", f"{folder}/release.yaml")
                last = self._git("log", "-1", "--first-parent", "--format=%H %aI", head, *place)
                commit, at = last.split()
                yield Asked(folder.rpartition("/")[2], release, commit, datetime.fromisoformat(at))

    def _selected(self, *selection: str, most: int | None = None) -> _Part:
        """The commits of a selection, at most so many; fewer than that are all there are."""
        limit = [] if most is None else [f"--max-count={most}"]
        place = ("--first-parent", *limit, *selection, "--", self._release_path)
        log = self._git("log", "-z", f"--format={_FIELDS}", *place)
        commits = [entry.split("\n", 4) for entry in log.split("\0") if entry]
        releases = map(
            parse_release, self._files([f"{commit[0]}:{self._release_path}" for commit in commits])
        )
        readable = [(commit, found) for commit, found in zip(commits, releases, strict=True) if found]
        # A revert removes the evidence of what it takes back, so each is read from its own commit.
        papers = self._files(
            [f"{commit[0]}:{self._evidence_folder}{found.name}.json" for commit, found in readable]
        )
        more = most is not None and len(commits) == most
        return _Part(readable, list(map(packed_evidence, papers)), commits[-1][0] if more else None)

    def _files(self, names: Sequence[str]) -> list[bytes]:
        """Contents of `<commit>:<path>` by one git process; empty where there is no such file."""
        output = self._run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
        contents, start = [], 0
        for _ in names:
            end = output.index(b"\n", start)
            header, start = output[start:end].split(), end + 1
            if header[1:2] != [b"blob"]:
                contents.append(b"")
                continue
            size = int(header[-1])
            contents.append(output[start : start + size])
            start += size + 1
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
