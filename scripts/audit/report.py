"""What an audit answers with: every deployment, every gap, and a digest over all of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

DIGEST = "sha256"


class Kind(StrEnum):
    """What can be wrong with a history; `WAY_OUT` has one line for each."""

    DIRECT_PUSH = "direct_push"
    REVERT_PUSHED = "revert_pushed"
    OTHER_BRANCH = "other_branch"
    REWRITTEN = "rewritten"
    UNREADABLE = "unreadable"
    NO_APPROVAL = "no_approval"
    AUTHOR_APPROVED = "author_approved"
    REQUESTER_APPROVED = "requester_approved"
    OTHER_HEAD = "other_head"
    NO_RULES = "no_rules"
    RULES_CHANGED = "rules_changed"
    NO_EVIDENCE = "no_evidence"
    EVIDENCE_DIGEST = "evidence_digest"
    EVIDENCE_FACTS = "evidence_facts"
    EVIDENCE_CHANGED = "evidence_changed"
    FORGED_BLOCK = "forged_block"
    TRAILERS = "trailers"
    GATE_CLOSED = "gate_closed"
    HELD = "held"
    MORE_FILES = "more_files"
    BAD_REVERT = "bad_revert"


_REVERT_IT = "revert it and bring the release by `promote open`"
WAY_OUT = {
    Kind.DIRECT_PUSH: f"{_REVERT_IT}; let nobody push to main",
    Kind.REVERT_PUSHED: "have an approver confirm it in writing; protect main so that reverts come by pull request",
    Kind.OTHER_BRANCH: _REVERT_IT,
    Kind.REWRITTEN: "restore the commit from a clone that has it; forbid forced pushes to main",
    Kind.UNREADABLE: "`promote rollback` or a revert mends the file; require `promote check` on every pull request",
    Kind.NO_APPROVAL: "have another person judge it now; require an approval on main",
    Kind.AUTHOR_APPROVED: "have another person judge it now; give author and approver separate accounts",
    Kind.REQUESTER_APPROVED: "have another person judge it now",
    Kind.OTHER_HEAD: f"{_REVERT_IT}; merge by `promote merge`, which pins the head",
    Kind.NO_RULES: "commit the file with an approver's consent; without it nothing is promoted",
    Kind.RULES_CHANGED: "have an approver judge the change; name the file in CODEOWNERS",
    Kind.NO_EVIDENCE: _REVERT_IT,
    Kind.EVIDENCE_DIGEST: "compare it with the pull request's JSON block; if that differs too, revert the release",
    Kind.EVIDENCE_FACTS: _REVERT_IT,
    Kind.EVIDENCE_CHANGED: "restore the file as the promotion wrote it",
    Kind.FORGED_BLOCK: "restore the pull request's text from the evidence file; ask who edited it",
    Kind.TRAILERS: "merge by `promote merge`, which keeps the proposal's message",
    Kind.GATE_CLOSED: _REVERT_IT,
    Kind.HELD: "roll it back, or lift the hold by a commit with the trailer Un-hold and a reason",
    Kind.MORE_FILES: "judge the other files like a change of their own; merge only what `promote check` passes",
    Kind.BAD_REVERT: "name the reverted commits in git's words, `This reverts commit <id>.`, or use `promote rollback`",
}


@dataclass(frozen=True)
class Finding:
    """One gap: the commit (None when it is gone), its pull request, what is wrong and the way out."""

    commit: str | None
    pull_request: int | None
    kind: Kind
    message: str


@dataclass(frozen=True)
class Note:
    """A commit that changed no release and yet may alter what runs or what may be promoted. `at` is ISO 8601."""

    commit: str
    at: str
    what: str
    details: tuple[str, ...]
    pull_request: int | None
    approved_by: tuple[str, ...]


@dataclass(frozen=True)
class AuditedDeployment:
    """One change of the release and who stands for it.

    `head_compared` says that the approved commit was there to be compared with what was merged.
    """

    commit: str
    at: str
    kind: str
    release: dict[str, Any]
    replaced: dict[str, Any] | None
    pull_request: int | None
    author: str | None
    approved_by: tuple[str, ...]
    requested_by: str | None
    evidence_sha256: str | None
    head_compared: bool


@dataclass(frozen=True)
class AuditReport:
    """The whole history of one environment until the commit `checked_until`, oldest first.

    `accepted` are findings up to the commit `after`, which the caller says have been dealt with.
    """

    environment: str
    checked_until: str
    after: str | None
    deployments: tuple[AuditedDeployment, ...]
    findings: tuple[Finding, ...]
    accepted: tuple[Finding, ...]
    notes: tuple[Note, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that is not accepted."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values; the same history gives the same, `sha256` is the digest of the rest."""
        report = {"ok": self.ok, **json.loads(json.dumps(asdict(self)))}
        return {**report, DIGEST: digest_of(report)}


def digest_of(report: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a report's canonical JSON, its own digest left out: equal to it unless it was edited."""
    rest = {key: value for key, value in report.items() if key != DIGEST}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
