"""What must hold between deployments: evidence stays as it was written, rules change with an approval."""

from dataclasses import dataclass, field

from scripts.audit.case import Case, Gap
from scripts.audit.report import Kind
from scripts.errors import Refused
from scripts.evidence.rules import Rules, rules_of, rules_path_of
from scripts.forges.forge import PullRequest
from scripts.history.git import Git
from scripts.history.trunk_log import FileChange, TrunkCommit
from scripts.release_file import evidence_folder_of


@dataclass
class EvidenceLedger:
    """The evidence files of an environment as promotions and reverts left them.

    A promotion writes the file of its release. A revert deletes one or puts back what a promotion had written.
    Whatever else happens to one is a gap, until somebody puts it back.
    """

    environment: str
    _written: dict[str, set[str | None]] = field(default_factory=dict)
    _now: dict[str, str | None] = field(default_factory=dict)

    def step(self, change: TrunkCommit, case: Case | None) -> list[Gap]:
        """Take note of what a commit did; the gaps come back."""
        folder = evidence_folder_of(self.environment)
        touched = {path: file for path, file in change.files.items() if path.startswith(f"{folder}/")}
        return [
            (
                Kind.EVIDENCE_CHANGED,
                f"{path} was {_what(file)} by a commit that neither promotes nor reverts it",
            )
            for path, file in sorted(touched.items())
            if not self._accepts(path, file.after, change, case)
        ]

    def _accepts(self, path: str, after: str | None, change: TrunkCommit, case: Case | None) -> bool:
        written = self._written.setdefault(path, {None})
        if change.is_root or (case and not case.reverted and path == case.evidence_path):
            written.add(after)
        elif case and not case.reverted:
            return True  # a gap of its own: a promotion that changes more files
        elif after != self._now.get(path) and not (case and case.reverted and after in written):
            return False
        self._now[path] = after
        return True


@dataclass
class RulesLedger:
    """The rules of an environment as they are before the next commit."""

    git: Git
    environment: str
    in_force: Rules | None = None

    def step(self, change: TrunkCommit, pull_request: PullRequest | None) -> list[Gap]:
        """Take the rules that a commit brings; a change is a gap where they asked for an approval and none came."""
        if rules_path_of(self.environment) not in change.files:
            return []
        before, self.in_force = self.in_force, self._read(change)
        others = set(pull_request.approved_by) - {pull_request.author} if pull_request else set()
        if before is None or before == self.in_force or not before.needs_approval or others:
            return []
        return [(Kind.RULES_CHANGED, f"{rules_path_of(self.environment)} was changed and nobody approved it")]

    def _read(self, change: TrunkCommit) -> Rules | None:
        try:
            return rules_of(self.git, self.environment, change.commit.id)
        except Refused:
            return None


def _what(file: FileChange) -> str:
    if file.before is None:
        return "added"
    return "deleted" if file.after is None else "edited"
