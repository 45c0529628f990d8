"""A throw-away copy of the remote repository, and pushes that compare and swap."""

import random
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from scripts.errors import Refused
from scripts.history.git import Git, GitFailed, Identity

TRUNK = "refs/heads/main"
SLOTS = "refs/promotions/"

_PUSH_TRIES = 10
_READ_TRIES = 4
_REFUSALS = (
    "pre-receive hook declined",
    "Authentication failed",
    "could not read Username",
    "Unauthorized",
    "returned error: 401",
    "returned error: 403",
    "returned error: 404",
    "returned error: 301",
    "returned error: 302",
    "returned error: 307",
    "returned error: 308",
)
_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


class RemoteRefused(Refused):
    """The remote repository says no to Git; trying again gets the same answer."""

    def __init__(self, remote: str, failure: GitFailed) -> None:
        said = (line.strip() for line in failure.stderr.splitlines())
        super().__init__("git_refused", f"{remote} refuses: {'; '.join(line for line in said if line)}")


class Origin(Protocol):
    """A repository somewhere else: what a forge says of it."""

    @property
    def remote(self) -> str:
        """Where Git fetches from and pushes to, without credentials."""

    @property
    def git_environment(self) -> Mapping[str, str]:
        """What Git needs in its environment to get in there."""


@dataclass(frozen=True)
class RefUpdate:
    """One ref to move: from `old` (None: it must not exist) to `new` (None: delete it)."""

    ref: str
    old: str | None
    new: str | None


class Repository(Git):
    """A copy of a remote repository that can be thrown away; what counts is on the remote."""

    def __init__(
        self, directory: Path, remote: str, environment: Mapping[str, str] = _NO_ENVIRONMENT
    ) -> None:
        super().__init__(directory)
        self.remote, self._environment = remote, environment

    @classmethod
    def copy_of(
        cls, remote: str, directory: Path, environment: Mapping[str, str] = _NO_ENVIRONMENT
    ) -> "Repository":
        """An empty copy in a new directory; `fetch` fills it."""
        directory.mkdir(parents=True)
        repository = cls(directory, remote, environment)
        repository.run("init", "--quiet", "--bare", "--template=", ".")
        return repository

    def fetch(self) -> None:
        """Make every branch and slot equal to the remote's.

        Raises:
            GitFailed: The remote cannot be reached.
            RemoteRefused: It does not let this account in.
        """
        refspecs = ("+refs/heads/*:refs/heads/*", f"+{SLOTS}*:{SLOTS}*")
        self._read(
            "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", self.remote, *refspecs
        )

    def fetch_proposed(self, numbers: Collection[int]) -> frozenset[str]:
        """Bring the heads of pull requests here, those of them that the remote keeps; their ids come back."""
        wanted = {f"refs/pull/{number}/head" for number in numbers}
        listing = self._read("ls-remote", self.remote, "refs/pull/*/head")
        heads = {
            ref: sha for sha, ref in (line.split("\t", 1) for line in listing.splitlines()) if ref in wanted
        }
        if heads:
            # By id: git looks for each name among all that the remote has, which for thousands takes minutes.
            ids = sorted(set(heads.values()))
            self._read("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self.remote, *ids)
        return frozenset(heads.values())

    def propose(
        self, base: str, files: Mapping[str, bytes], message: str, author: Identity, at: datetime
    ) -> str:
        """A commit on `base` with these files; nothing is pushed."""
        entries = {path: f"100644 {self.write_blob(data)}" for path, data in files.items()}
        return self.commit_tree(self.tree_with(base, entries), [base], message, author, at)

    def push(self, updates: Iterable[RefUpdate]) -> bool:
        """Move all refs of the remote or none; False when one of them is no longer where it was.

        Raises:
            GitFailed: The remote cannot be reached.
            RemoteRefused: It does not let this account move one of them.
        """
        updates = tuple(updates)
        if not updates:
            return True
        leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
        refspecs = [f"{update.new or ''}:{update.ref}" for update in updates]
        for attempt in range(_PUSH_TRIES):
            try:
                self.run(
                    "push", "--quiet", "--atomic", *leases, self.remote, *refspecs, env=self._environment
                )
            except GitFailed as failure:
                self._raise_refusal(failure)
                remote = self._remote_refs(updates)
                if all(remote.get(update.ref) == update.new for update in updates):
                    return True  # the answer was lost, the push was not
                if any(remote.get(update.ref) != update.old for update in updates):
                    return False
                if attempt == _PUSH_TRIES - 1:
                    raise
                _wait(attempt)
            else:
                return True
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _remote_refs(self, updates: Sequence[RefUpdate]) -> dict[str, str]:
        listing = self._read("ls-remote", self.remote, *(update.ref for update in updates))
        return {ref: sha for sha, ref in (line.split("\t", 1) for line in listing.splitlines())}

    def _read(self, *arguments: str) -> str:
        """A question to the remote, asked again while that may help; without a server it is asked once."""
        tries = _READ_TRIES if "://" in self.remote else 1
        for attempt in range(tries):
            try:
                return self.text(*arguments, env=self._environment)
            except GitFailed as failure:
                self._raise_refusal(failure)
                if attempt == tries - 1:
                    raise
                _wait(attempt + 4)
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _raise_refusal(self, failure: GitFailed) -> None:
        if any(refusal in failure.stderr for refusal in _REFUSALS):
            raise RemoteRefused(self.remote, failure) from None


def _wait(attempt: int) -> None:
    """A hundredth of a second at first, doubling up to about one."""
    time.sleep(random.uniform(0.01, 0.05) * 2 ** min(attempt, 5))  # noqa: S311 - jitter


@contextmanager
def temporary_copy(origin: Origin | str) -> Iterator[Repository]:
    """A copy of a forge's repository, or of one on this disk, fetched, gone at the end."""
    remote, environment = (
        (origin, _NO_ENVIRONMENT) if isinstance(origin, str) else (origin.remote, origin.git_environment)
    )
    with tempfile.TemporaryDirectory(prefix="promote-") as folder:
        repository = Repository.copy_of(remote, Path(folder, "repository.git"), environment)
        repository.fetch()
        yield repository
