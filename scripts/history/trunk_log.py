"""The commits of the trunk that touched some paths, with every file each of them changed, in one git process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from scripts.history.git import Commit, Git

_FORMAT = "%H %ct %P%n%cn%n%B"
_NOTHING = "0" * 40


@dataclass(frozen=True)
class FileChange:
    """Blob ids of a file before and after a commit; None where it does not exist."""

    before: str | None
    after: str | None


@dataclass(frozen=True)
class TrunkCommit:
    """A commit against its first parent. `committer` is what the commit says, nobody has proven it.

    `is_root` is true for the first commit of the repository, `files` are all that it changed, by path.
    """

    commit: Commit
    committer: str
    is_root: bool
    files: Mapping[str, FileChange]


def touching(git: Git, trunk: str, *paths: str) -> list[TrunkCommit]:
    """Commits of the first-parent line that changed something under these paths, oldest first."""
    output = git.run(
        "log",
        "-z",
        "--first-parent",
        "--diff-merges=first-parent",
        "--reverse",
        "--full-diff",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        f"--format={_FORMAT}",
        trunk,
        "--",
        *paths,
    )
    return list(_parsed(output.decode(errors="replace")))


def _parsed(output: str) -> Iterator[TrunkCommit]:
    """A header, then `:<modes> <blobs> <letter>` and a path for each file, all ended by NUL."""
    tokens = iter(output.split("\0"))
    header, files = next(tokens), dict[str, FileChange]()
    for token in tokens:
        change = token.lstrip("\n")
        if change.startswith(":"):
            _, _, before, after, _ = change.split(" ")
            files[next(tokens)] = FileChange(_blob(before), _blob(after))
        elif header:
            yield _commit(header, files)
            header, files = token, {}


def _commit(header: str, files: Mapping[str, FileChange]) -> TrunkCommit:
    facts, committer, message = header.split("\n", 2)
    sha, seconds, parents = facts.split(" ", 2)
    commit = Commit(sha, datetime.fromtimestamp(int(seconds), UTC), message.strip("\n"))
    return TrunkCommit(commit, committer, not parents, files)


def _blob(sha: str) -> str | None:
    return None if sha == _NOTHING else sha
