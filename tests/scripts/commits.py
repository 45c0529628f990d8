"""Commits made of given files, in a bare repository, for tests that look at trees."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from scripts.history.git import Git, Identity

ANNA = Identity("anna", "anna@example.com")
AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)

Files = Mapping[str, bytes]


def repository(folder: Path) -> Git:
    folder.mkdir(parents=True, exist_ok=True)
    git = Git(folder)
    git.run("init", "--quiet", "--bare", ".")
    return git


def commit(
    git: Git, files: Files, parent: str | None = None, executable: frozenset[str] = frozenset()
) -> str:
    """A commit that holds exactly these files."""
    blobs = {data: git.write_blob(data) for data in set(files.values())}
    entries = {
        path: f"{'100755' if path in executable else '100644'} {blobs[data]}" for path, data in files.items()
    }
    return git.commit_tree(git.tree_with(None, entries), [parent] if parent else [], "files", ANNA, AT)
