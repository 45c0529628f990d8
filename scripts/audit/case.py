"""One deployment with all that an audit knows of it."""

from dataclasses import dataclass

from scripts.audit.report import Kind
from scripts.evidence.rules import Rules
from scripts.forges.forge import PullRequest
from scripts.history.deployment_history import Deployment
from scripts.history.trunk_log import TrunkCommit
from scripts.promotion.proposal import PROMOTION, ROLLBACK, branches_of
from scripts.release_file import UNRELEASED, evidence_path_of

Gap = tuple[Kind, str]


@dataclass(frozen=True)
class Reverted:
    """A commit that another says it reverts; `deployment` is None when it never deployed anything here."""

    name: str
    deployment: Deployment | None
    files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Case:
    """One deployment with all that is known of it.

    `claimed` is the pull request that its message names although that one was merged as another commit.
    `rules` are those before the commit, None when there were none. `file` and
    `evidence` are what this commit holds of the release, `head` the same two of the approved commit, None when
    that is not here.
    """

    environment: str
    change: TrunkCommit
    deployment: Deployment
    pull_request: PullRequest | None
    claimed: PullRequest | None
    rules: Rules | None
    reverted: tuple[Reverted, ...]
    file: bytes | None
    evidence: bytes | None
    head: tuple[bytes | None, bytes | None] | None

    @property
    def kind(self) -> str:
        """`import`, `promotion`, `rollback` or, for a reverted rollback, `reapplied`."""
        before, after = self.deployment.before, self.deployment.after
        runs_nothing = not after.has_model and after.image_tag == UNRELEASED
        if before is None and (self.change.is_root or runs_nothing):
            return "import"
        if not self.reverted:
            return "promotion"
        return "rollback" if self.deployment.is_rollback else "reapplied"

    @property
    def by_promote(self) -> bool:
        """Whether it came by a branch that promote makes, with trailers and a JSON block."""
        kind = ROLLBACK if self.reverted else PROMOTION
        branch = self.pull_request.branch if self.pull_request else ""
        return branch.startswith(branches_of(self.environment, kind))

    @property
    def requester(self) -> str | None:
        """Who asked, by the commit's trailer."""
        return self.change.commit.trailer("Requested-by")

    @property
    def needs_approval(self) -> bool:
        """By the rules before the commit; without rules, yes."""
        return self.rules is None or self.rules.needs_approval

    @property
    def evidence_path(self) -> str:
        """Where the evidence for its release belongs."""
        return evidence_path_of(self.environment, self.deployment.after)
