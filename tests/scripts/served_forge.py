"""A fake forge that is up, a bare repository behind it, and adapters for several people."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from scripts.forges.by_address import forge_at
from scripts.forges.gitea import GiteaForge
from scripts.forges.github import GitHubForge
from scripts.forges.transport import Patience
from scripts.history.git import Git, Identity
from tests.scripts.fake_forge import NAME, OWNER, TOKENS, FakeForge, Fault
from tests.scripts.fake_gitea import FakeGitea
from tests.scripts.fake_github import FakeGitHub

SHAPES: tuple[type[FakeForge], ...] = (FakeGitHub, FakeGitea)
AT = datetime(2026, 11, 1, tzinfo=UTC)
BRANCH = "promote/local/1-abc"


@dataclass
class Served:
    """`waits` are the seconds that adapters waited (they do not really)."""

    fake: FakeForge
    git: Git
    waits: list[float] = field(default_factory=list)
    patience_seconds: float = 10.0

    def forge(self, login: str = "promoter") -> GitHubForge | GiteaForge:
        token = next(token for token, name in TOKENS.items() if name == login)
        found = forge_at(
            f"{self.fake.url}/{OWNER}/{NAME}",
            kind=self.fake.kind,  # type: ignore[arg-type]
            account="github-actions[bot]",
            token=token,
            patience=Patience(timeout_seconds=self.patience_seconds, sleep=self.waits.append),
        )
        assert isinstance(found, GitHubForge | GiteaForge)
        return found

    def push(self, branch: str = BRANCH, path: str = "x", text: str = "x\n", base: str = "main") -> str:
        """A commit with one file on a branch; its id comes back."""
        base = self.git.text("rev-parse", f"refs/heads/{base}")
        tree = self.git.tree_with(base, {path: f"100644 {self.git.write_blob(text.encode())}"})
        commit = self.git.commit_tree(tree, [base], f"{branch}: {path}", Identity("p", "p@x.invalid"), AT)
        self.git.run("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def delete(self, branch: str = BRANCH) -> None:
        self.git.run("update-ref", "-d", f"refs/heads/{branch}")

    def fault(self, method: str, path: str, how: str, *, times: int = 1) -> Fault:
        self.fake.faults.append(Fault(method, path, how, times=times))
        return self.fake.faults[-1]

    def sent(self, methods: Sequence[str]) -> int:
        return sum(each.method in methods for each in self.fake.exchanges)


@contextmanager
def served(shape: type[FakeForge], folder: Path) -> Iterator[Served]:
    """A forge with an empty trunk."""
    folder.mkdir(exist_ok=True)
    git = Git(folder)
    git.run("init", "--quiet", "--bare", "--template=", ".")
    empty = git.tree_with(None, {})
    first = git.commit_tree(empty, [], "first", Identity("p", "p@x.invalid"), AT)
    git.run("update-ref", "refs/heads/main", first)
    fake = shape(folder)
    with fake.served():
        yield Served(fake, git)
