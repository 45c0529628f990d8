"""A forge without a server: a bare Git repository whose pull requests are refs in it.

`refs/pull/<n>/meta` points at a JSON blob, `refs/pull/<n>/head` keeps the commits alive. Every write swaps a
ref against its expected value, so a plain `git push` beside it loses nothing; a file lock that the kernel
releases puts this forge's own writers in a row. A pull request counts as merged when the trunk contains its
merge commit, so a kill between the two writes of a merge leaves it open, and merging again ends it.
"""

import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from scripts.errors import Broken, Refused
from scripts.forges.forge import BranchGone, MergeRefused, PullRequest
from scripts.forges.pull_request_record import HEADS, Record, decoded, encoded, shown
from scripts.forges.ref_locks import remove_stale_locks
from scripts.history.git import Git, GitFailed, Identity
from scripts.history.repository import TRUNK

_PULLS = "refs/pull/"
_MERGE_TRIES = 10
_OWN_LOCK = "forge.lock"
_CONFIGURATION = {"core.hooksPath": "/dev/null", "receive.autogc": "false"}


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


class LocalForge:
    """The forge of the demo and of the tests.

    Args:
        directory: The bare repository, made by `create`.
        account: Who acts; one object is one account.
        clock: The time of what it records.
    """

    def __init__(self, directory: Path, account: str, clock: Callable[[], datetime] = utc_now) -> None:
        if not (directory / "HEAD").is_file():
            raise Refused(
                "no_forge", f"{directory} is not a bare Git repository; LocalForge.create makes one"
            )
        self.directory, self.account, self._clock = directory, account, clock
        self._git = Git(directory)
        remove_stale_locks(self.directory, keep=_OWN_LOCK)

    @classmethod
    def create(
        cls,
        directory: Path,
        tree: Path,
        account: str,
        *,
        folder: str = "environments",
        clock: Callable[[], datetime] = utc_now,
    ) -> "LocalForge":
        """A forge whose trunk holds one folder of a tree; one that is there already is taken as it is."""
        directory.mkdir(parents=True, exist_ok=True)
        git = Git(directory)
        if not (directory / "HEAD").is_file():
            git.run("init", "--quiet", "--bare", "--template=", ".")
        for key, value in _CONFIGURATION.items():
            git.run("config", key, value)
        forge = cls(directory, account, clock)
        if git.ref(TRUNK) is None:
            forge._first_commit(tree, folder)
        return forge

    def acting_as(self, account: str) -> "LocalForge":
        """The same forge, used by another account."""
        return LocalForge(self.directory, account, self._clock)

    @property
    def remote(self) -> str:
        """The path of the bare repository."""
        return str(self.directory.resolve())

    @property
    def git_environment(self) -> Mapping[str, str]:
        """Nothing: a folder needs no credentials."""
        return {}

    def pull_requests(
        self,
        *branch_prefixes: str,
        people_of_ended: bool = True,  # noqa: ARG002 - who they are stands in the record
    ) -> list[PullRequest]:
        """Every pull request whose branch starts with one of these; oldest first."""
        refs = self._git.refs(_PULLS, HEADS)
        metas = [sha for ref, sha in refs.items() if ref.startswith(_PULLS) and ref.endswith("/meta")]
        records = sorted(map(decoded, self._git.blobs(metas)), key=lambda record: record.number)
        wanted = [record for record in records if record.branch.startswith(branch_prefixes)]
        trunk = self._trunk(wanted)
        return [shown(record, refs, trunk, self.remote) for record in wanted]

    def get(self, number: int) -> PullRequest:
        """One pull request."""
        return self._show(self._stored(number)[1])

    def comments(self, number: int) -> list[dict[str, str]]:
        """What was said on a pull request: author, text and time of each comment."""
        return self._stored(number)[1].comments

    def open_pull_request(self, branch: str, title: str, body: str) -> PullRequest:
        """A new pull request, or the one that is open for this branch."""
        with self._lock():
            for known in self.pull_requests(branch):
                if known.branch == branch and known.state == "open":
                    return known
            head = self._git.ref(HEADS + branch)
            if head is None:
                raise BranchGone(branch)
            numbers = [int(ref.split("/")[2]) for ref in self._git.refs(_PULLS)]
            record = Record(
                number=max(numbers, default=0) + 1,
                title=title,
                body=body,
                branch=branch,
                head=head,
                author=self.account,
                opened_at=self._clock().isoformat(),
            )
            try:
                self._swap(
                    f"create {_PULLS}{record.number}/head {head}",
                    f"create {_PULLS}{record.number}/meta {self._git.write_blob(encoded(record))}",
                    f"verify {HEADS}{branch} {head}",
                )
            except GitFailed:
                if self._git.ref(HEADS + branch) == head:
                    raise
                raise BranchGone(branch) from None
            return self._show(record)

    def close(self, number: int, comment: str) -> None:
        """Close without a merge; nothing happens when it is closed or merged."""
        with self._lock():
            sha, record = self._stored(number)
            if self._show(record).state != "open":
                return
            now = self._clock().isoformat()
            said = {"author": self.account, "text": comment, "at": now}
            self._store(
                sha, replace(record, closed_by=self.account, closed_at=now, comments=[*record.comments, said])
            )

    def rewrite(self, number: int, title: str, body: str) -> None:
        """Put another text into an open pull request."""
        with self._lock():
            sha, record = self._stored(number)
            if self._show(record).state == "open":
                self._store(sha, replace(record, title=title, body=body))

    def comment(self, number: int, marker: str, text: str) -> None:
        """One comment of this account for a marker: written the first time, replaced in place later."""
        with self._lock():
            sha, record = self._stored(number)
            first_line = f"<!-- {marker} -->"
            said = {"author": self.account, "text": f"{first_line}\n{text}", "at": self._clock().isoformat()}
            comments = list(record.comments)
            places = (index for index, each in enumerate(comments) if _is_for(each, self.account, first_line))
            place = next(places, len(comments))
            if place < len(comments) and comments[place]["text"] == said["text"]:
                return
            comments[place : place + 1] = [said]
            self._store(sha, replace(record, comments=comments))

    def approve(self, number: int, head: str) -> None:
        """Approve the named head as this account."""
        with self._lock():
            sha, record = self._stored(number)
            current = self._show(record)
            if self.account == record.author:
                raise Refused(
                    "own_approval", f"{self.account} is the author of #{number}; another account approves it"
                )
            if current.state != "open" or current.head != head:
                raise Refused(
                    "stale_approval",
                    f"#{number} is {current.state} at {current.head[:12]}, not open at {head[:12]}",
                )
            if record.approvals.get(self.account) != head:
                self._store(sha, replace(record, approvals={**record.approvals, self.account: head}))

    def merge(self, number: int, head: str, message: str) -> str:
        """Squash onto the trunk if the head is still this one."""
        with self._lock():
            for _ in range(_MERGE_TRIES):
                sha, record = self._stored(number)
                current = self._show(record)
                if current.merge_commit:
                    self._delete_branch(record)
                    return current.merge_commit
                if current.state == "closed":
                    raise MergeRefused(f"#{number} was closed by {current.closed_by}; open it again")
                if current.head != head:
                    raise MergeRefused(
                        f"#{number} has head {current.head[:12]}, the reviewed one was {head[:12]}"
                    )
                trunk = self._git.text("rev-parse", TRUNK)
                commit = self._squash(number, trunk, head, message)
                self._store(sha, replace(record, head=head, merge_commit=commit))
                self._try_swap(f"update {TRUNK} {commit} {trunk}")
            raise Broken(f"#{number} could not be merged: the trunk of {self.directory} cannot be moved")

    def _delete_branch(self, record: Record) -> None:
        if self._git.ref(HEADS + record.branch) == record.head:
            self._try_swap(f"delete {HEADS}{record.branch} {record.head}")

    def _squash(self, number: int, trunk: str, head: str, message: str) -> str:
        """A commit on the trunk with what the branch changed; a file that both changed is refused."""
        base = self._git.text("merge-base", trunk, head)
        wanted = self._git.changed_paths(base, head)
        both = sorted(set(wanted) & set(self._git.changed_paths(base, trunk)))
        if both:
            raise MergeRefused(
                f"the trunk changed {both[0]} since #{number} was opened; open the promotion again"
            )
        if not wanted:
            raise MergeRefused(f"#{number} changes nothing")
        tree = self._git.tree_with(trunk, {path: after for path, (_, after) in wanted.items()})
        return self._git.commit_tree(tree, [trunk], message, self._identity(), self._clock())

    def _show(self, record: Record) -> PullRequest:
        return shown(record, self._git.refs(HEADS), self._trunk([record]), self.remote)

    def _trunk(self, records: Iterable[Record]) -> frozenset[str]:
        """The commits of the trunk; none where no record names the commit that merged it."""
        if not any(record.merge_commit for record in records):
            return frozenset()
        return frozenset(self._git.text("rev-list", "--first-parent", TRUNK).split())

    def _stored(self, number: int) -> tuple[str, Record]:
        sha = self._git.ref(f"{_PULLS}{number}/meta")
        if sha is None:
            raise Refused("no_pull_request", f"{self.directory} has no pull request #{number}")
        return sha, decoded(self._git.blobs([sha])[0])

    def _store(self, expected: str, record: Record) -> None:
        meta = self._git.write_blob(encoded(record))
        self._swap(f"update {_PULLS}{record.number}/meta {meta} {expected}")

    def _swap(self, *instructions: str) -> None:
        """Move refs together, each only from its expected value."""
        script = "".join(f"{line}\n" for line in ("start", *instructions, "prepare", "commit"))
        self._git.run("update-ref", "--stdin", stdin=script.encode())

    def _try_swap(self, instruction: str) -> bool:
        try:
            self._swap(instruction)
        except GitFailed:
            remove_stale_locks(self.directory, keep=_OWN_LOCK)
            return False
        return True

    def _first_commit(self, tree: Path, folder: str) -> None:
        """The files of one folder of a tree become the trunk."""
        files = sorted(path for path in (tree / folder).rglob("*") if path.is_file())
        if not files:
            raise Refused("empty_tree", f"{tree / folder} holds no files, the first commit needs some")
        entries = {
            str(path.relative_to(tree)): f"100644 {self._git.write_blob(path.read_bytes())}" for path in files
        }
        commit = self._git.commit_tree(
            self._git.tree_with(None, entries),
            [],
            "environments: as they stand in the checkout\n",
            self._identity(),
            self._clock(),
        )
        self._try_swap(f"create {TRUNK} {commit}")  # another creation that came first is as good

    def _identity(self) -> Identity:
        return Identity(self.account, f"{self.account}@forge.invalid")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.directory / _OWN_LOCK).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _is_for(comment: Mapping[str, str], account: str, first_line: str) -> bool:
    return comment["author"] == account and comment["text"].partition("\n")[0] == first_line
