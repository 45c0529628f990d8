"""Git for programs: plumbing commands only, no work tree, deaf to anybody's configuration and hooks."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.errors import Broken

_HYGIENE = (
    "core.hooksPath=/dev/null",
    "core.autocrlf=false",
    "core.quotePath=false",
    "commit.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "init.defaultBranch=main",
)
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
_KEPT_VARIABLES = ("PATH", "TMPDIR", "HOME", "SSL_CERT_FILE", "GIT_SSL_CAINFO", *_PROXIES)


class GitFailed(Broken):
    """A git command ended with an error."""

    def __init__(self, arguments: Sequence[str], stderr: str) -> None:
        super().__init__(f"git {arguments[0]} failed: {stderr.strip() or 'no message'}")
        self.stderr = stderr


@dataclass(frozen=True)
class Identity:
    """Who a commit says made it."""

    name: str
    email: str


@dataclass(frozen=True)
class Commit:
    """One commit on the trunk, with the lines of its message."""

    id: str
    at: datetime
    message: str

    @property
    def subject(self) -> str:
        """First line of the message."""
        return self.message.partition("\n")[0]

    def trailers(self, key: str) -> tuple[str, ...]:
        """The values of a trailer: lines `Key: value` in the last paragraph of the message."""
        last = self.message.strip().split("\n\n")[-1]
        pairs = (line.partition(":") for line in last.splitlines())
        return tuple(value.strip() for name, _, value in pairs if name.lower() == key.lower())

    def trailer(self, key: str) -> str | None:
        """The only value of a trailer; None when it is missing or there more than once."""
        values = self.trailers(key)
        return values[0] if len(values) == 1 else None


class Git:
    """Runs git in one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What the command writes to stdout.

        Raises:
            GitFailed: Git is not installed, or the command ends with an error.
        """
        options = [part for setting in _HYGIENE for part in ("-c", setting)]
        try:
            done = subprocess.run(
                ["git", *options, *arguments],
                cwd=self.directory,
                env=_environment(env or {}),
                input=stdin,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise GitFailed(arguments, f"{error.filename} is not there") from error
        if done.returncode != 0:
            raise GitFailed(arguments, done.stderr.decode(errors="replace"))
        return done.stdout

    def text(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """What the command writes to stdout, as text without the last line's end."""
        return self.run(*arguments, stdin=stdin, env=env).decode(errors="replace").rstrip("\n")

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Object id of every ref under these prefixes."""
        listing = self.text("for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
        return {ref: sha for sha, ref in (line.split(" ", 1) for line in listing.splitlines())}

    def ref(self, name: str) -> str | None:
        """Object id of one ref, None when there is no such ref."""
        return self.refs(name).get(name)

    def blobs(self, names: Sequence[str]) -> list[bytes | None]:
        """Contents of `<commit>:<path>` or blob ids in one git process; None for what does not exist."""
        if not names:
            return []
        output = self.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
        contents: list[bytes | None] = []
        start = 0
        for _ in names:
            end = output.index(b"\n", start)
            fields = output[start:end].split(b" ")
            start = end + 1
            if len(fields) != 3 or fields[1] != b"blob":  # noqa: PLR2004 - id, type, size
                contents.append(None)
                continue
            size = int(fields[2])
            contents.append(output[start : start + size])
            start += size + 1
        return contents

    def read(self, commit: str, path: str) -> bytes | None:
        """One file of a commit, None when it has no such file."""
        return self.blobs([f"{commit}:{path}"])[0]

    def write_blob(self, data: bytes) -> str:
        """Store bytes; their object id comes back."""
        return self.text("hash-object", "-w", "--stdin", stdin=data)

    def changed_paths(self, base: str, head: str) -> dict[str, tuple[str | None, str | None]]:
        """Path to (mode and blob in base, mode and blob in head), None where the file does not exist."""
        parts = self.run("diff-tree", "-r", "--raw", "--no-renames", "--no-abbrev", "-z", base, head).split(
            b"\0"
        )
        changes = {}
        for header, path in zip(parts[0::2], parts[1::2], strict=False):
            old_mode, new_mode, old, new, _ = header.decode().lstrip(":").split(" ")
            sides = [
                None if set(sha) == {"0"} else f"{mode} {sha}"
                for mode, sha in ((old_mode, old), (new_mode, new))
            ]
            changes[path.decode()] = (sides[0], sides[1])
        return changes

    def tree_with(self, base: str | None, entries: Mapping[str, str | None]) -> str:
        """The tree of `base` (None: empty) with `path -> "<mode> <blob>"` set, removed where it is None."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            if base is not None:
                self.run("read-tree", base, env=index)
            lines = [f"{entry or '0 ' + '0' * 40}\t{path}\0" for path, entry in entries.items()]
            self.run("update-index", "-z", "--index-info", stdin="".join(lines).encode(), env=index)
            return self.run("write-tree", env=index).decode().strip()

    def commit_tree(
        self, tree: str, parents: Sequence[str], message: str, author: Identity, at: datetime
    ) -> str:
        """A new commit; the same arguments give the same id."""
        date = f"{int(at.timestamp())} +0000"
        env = {
            **{f"GIT_{role}_NAME": author.name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": author.email for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_DATE": date for role in ("AUTHOR", "COMMITTER")},
        }
        options = [part for parent in parents for part in ("-p", parent)]
        return (
            self.run("commit-tree", tree, *options, "-F", "-", stdin=message.encode(), env=env)
            .decode()
            .strip()
        )

    def commits(self, *selection: str) -> list[Commit]:
        """Commits in `git log` order for a selection such as `--first-parent main -- path`."""
        log = self.text("log", "-z", "--format=%H %ct%n%B", *selection)
        return [_commit(entry) for entry in log.split("\0") if entry]

    def commit(self, name: str) -> Commit:
        """One commit."""
        return self.commits("--max-count=1", name)[0]


def _commit(entry: str) -> Commit:
    header, _, message = entry.partition("\n")
    commit, seconds = header.split(" ")
    return Commit(commit, datetime.fromtimestamp(int(seconds), UTC), message.strip("\n"))


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        **extra,
    }
