"""The deployment log: what Git says was released, when, by whom and on which evidence."""

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import yaml
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, ValidationError

from apps.console.evidence import Evidence
from apps.console.settings import ConsoleSettings

MAX_COMMITS = 200
_FIELD, _RECORD = "\x1f", "\x1e"


class Unreadable(Exception):
    """The repository does not answer; the text says why."""


class Release(BaseModel):
    """What an environment runs; model version 0 means none yet."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    image_tag: str
    model_version: int
    model_sha256: str

    @property
    def name(self) -> str:
        """`<model version>-<image tag>`, the name of its evidence."""
        return f"{self.model_version}-{self.image_tag}"


@dataclass(frozen=True)
class Deployment:
    """A commit on the trunk that changed the release; `before` is what it replaced.

    `is_rollback` says that an older model came back, or with the same model an image that ran before.
    """

    commit: str
    at: datetime
    author: str
    subject: str
    release: Release
    before: Release | None
    is_rollback: bool
    evidence: Evidence | None

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """(name, old, new) of what moved."""
        if self.before is None:
            return []
        pairs = (("model", "model_version"), ("image", "image_tag"))
        old, new = self.before.model_dump(), self.release.model_dump()
        return [(name, str(old[key]), str(new[key])) for name, key in pairs if old[key] != new[key]]


@dataclass(frozen=True)
class History:
    """Deployments of one environment, newest first, and the evidence in its folder by release name."""

    deployments: tuple[Deployment, ...] = ()
    evidence: dict[str, Evidence] = field(default_factory=dict)

    @property
    def live(self) -> Deployment | None:
        """What Git says should run now."""
        return self.deployments[0] if self.deployments else None

    @property
    def by_version(self) -> list[tuple[str, Evidence]]:
        """(release name, evidence), newest model first."""
        return sorted(self.evidence.items(), key=lambda item: (-_version(item[0]), item[0]))


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
        evidence = self._evidence(head)
        form = _FIELD.join(("%H", "%aI", "%an", "%s")) + _RECORD
        selection = ("--first-parent", f"--max-count={MAX_COMMITS}", head, "--", self._release_path)
        log = self._git("log", f"--format={form}", *selection)
        commits = [entry.strip("\n").split(_FIELD) for entry in log.split(_RECORD) if entry.strip()]
        files = self._files([f"{commit[0]}:{self._release_path}" for commit in commits])
        return History(tuple(_deployments(commits, files, evidence)), evidence)

    def _evidence(self, head: str) -> dict[str, Evidence]:
        listed = self._git("ls-tree", "-r", "-z", "--name-only", head, "--", self._evidence_folder)
        paths = [path for path in listed.split("\0") if path.endswith(".json")]
        files = self._files([f"{head}:{path}" for path in paths])
        found = {}
        for path, data in zip(paths, files, strict=True):
            with suppress(ValidationError):  # shown as a release without evidence
                found[Path(path).stem] = Evidence.model_validate_json(data)
        return found

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


def _deployments(
    commits: Sequence[Sequence[str]], files: Sequence[bytes], evidence: Mapping[str, Evidence]
) -> Iterator[Deployment]:
    """From commits newest first; one whose file cannot be read, or that changed no value, is passed over."""
    found: list[Deployment] = []
    earlier: set[str] = set()
    for (commit, at, author, subject), data in reversed(list(zip(commits, files, strict=True))):
        before = found[-1].release if found else None
        release = _release(data)
        if release is None or release == before:
            continue
        moment, proof = datetime.fromisoformat(at), evidence.get(release.name)
        back = before is not None and _went_back(before, release, earlier)
        found.append(Deployment(commit, moment, author, subject, release, before, back, proof))
        earlier.add(release.name)
    return reversed(found)


def _went_back(before: Release, after: Release, earlier: Collection[str]) -> bool:
    same = after.model_version == before.model_version
    return after.model_version < before.model_version or (same and after.name in earlier)


def _version(release_name: str) -> int:
    number = release_name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _release(data: bytes) -> Release | None:
    try:
        return Release.model_validate(yaml.safe_load(data)["data"])
    except (yaml.YAMLError, ValidationError, KeyError, TypeError):
        return None
