"""A throw-away copy of the remote repository, and pushes that compare and swap."""

import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scripts.git import Git, GitFailed, Identity

TRUNK = "refs/heads/main"
SLOTS = "refs/promotions/"

_PUSH_TRIES = 10


@dataclass(frozen=True)
class RefUpdate:
    """One ref to move: from `old` (None: it must not exist) to `new` (None: delete it)."""

    ref: str
    old: str | None
    new: str | None


class Repository(Git):
    """A copy of a remote repository that can be thrown away; what counts is on the remote."""

    def __init__(self, directory: Path, remote: str) -> None:
        super().__init__(directory)
        self.remote = remote

    @classmethod
    def copy_of(cls, remote: str, directory: Path) -> "Repository":
        """An empty copy in a new directory; `fetch` fills it."""
        directory.mkdir(parents=True)
        repository = cls(directory, remote)
        repository.run("init", "--quiet", "--bare", "--template=", ".")
        return repository

    def fetch(self) -> None:
        """Make every branch and slot equal to the remote's."""
        refspecs = ("+refs/heads/*:refs/heads/*", f"+{SLOTS}*:{SLOTS}*")
        self.run("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", self.remote, *refspecs)

    def propose(
        self, base: str, files: Mapping[str, bytes], message: str, author: Identity, at: datetime
    ) -> str:
        """A commit on `base` with these files; nothing is pushed."""
        entries = {path: f"100644 {self.write_blob(data)}" for path, data in files.items()}
        return self.commit_tree(self.tree_with(base, entries), [base], message, author, at)

    def push(self, updates: Iterable[RefUpdate]) -> bool:
        """Move all refs of the remote or none; False when one of them is no longer where it was.

        Raises:
            GitFailed: The remote cannot be reached or refuses.
        """
        updates = tuple(updates)
        leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
        refspecs = [f"{update.new or ''}:{update.ref}" for update in updates]
        for attempt in range(_PUSH_TRIES):
            try:
                self.run("push", "--quiet", "--atomic", *leases, self.remote, *refspecs)
            except GitFailed:
                remote = self._remote_refs(updates)
                if all(remote.get(update.ref) == update.new for update in updates):
                    return True  # the answer was lost, the push was not
                if any(remote.get(update.ref) != update.old for update in updates):
                    return False
                if attempt == _PUSH_TRIES - 1:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * 2 ** min(attempt, 5))  # noqa: S311 - jitter
            else:
                return True
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _remote_refs(self, updates: Sequence[RefUpdate]) -> dict[str, str]:
        listing = self.text("ls-remote", self.remote, *(update.ref for update in updates))
        return {ref: sha for sha, ref in (line.split("\t", 1) for line in listing.splitlines())}


@contextmanager
def temporary_copy(remote: str) -> Iterator[Repository]:
    """A copy of the remote, fetched, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="promote-") as folder:
        repository = Repository.copy_of(remote, Path(folder, "repository.git"))
        repository.fetch()
        yield repository
