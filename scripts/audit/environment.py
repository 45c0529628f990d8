"""Whether the whole history of an environment can be accounted for: every deployment, and every gap.

Git says what happened, the forge who stood for it, the evidence why it was allowed; a gap is where they do not
agree. Nothing is rendered and no gate is judged again: rules and gates change over the years, what was recorded
of them must not.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scripts.audit import deployment as deployment_audit
from scripts.audit import notes as audit_notes
from scripts.audit.case import Case, Gap, Reverted
from scripts.audit.ledgers import EvidenceLedger, RulesLedger
from scripts.audit.pulls import Pulls
from scripts.audit.report import WAY_OUT, AuditedDeployment, AuditReport, Finding, Kind, Note
from scripts.errors import Refused
from scripts.forges.forge import Forge
from scripts.history import deployment_history
from scripts.history.deployment_history import Deployment, DeploymentHistory
from scripts.history.repository import TRUNK, Repository, temporary_copy
from scripts.history.trunk_log import TrunkCommit, touching
from scripts.release_file import evidence_path_of, path_of

_REVERTS = re.compile(r"\bThis reverts commit ([0-9a-f]{7,40})\b")


def audit(forge: Forge, environment: str, *, after: str | None = None) -> AuditReport:
    """The deployments of an environment from the first commit to the newest, and what is wrong with them.

    Args:
        forge: Whose pull requests must account for them.
        environment: Whose release file is followed.
        after: A commit up to which the findings were dealt with; they are reported apart. It can be the
            `checked_until` of an earlier report: a trunk that no longer holds it was rewritten.

    Raises:
        Refused: The environment has never had a release file.
    """
    with temporary_copy(forge) as repository:
        trunk = repository.commit(TRUNK).id
        line = repository.text("rev-list", "--first-parent", "--reverse", trunk).split()
        history = deployment_history.read(repository, environment, trunk)
        if not history.deployments:
            raise Refused(
                "no_environment", f"{path_of(environment)} was never on the trunk of {forge.remote}"
            )
        changes = touching(repository, trunk, *audit_notes.paths_of(environment))
        commits = [change.commit.id for change in changes] + [each.commit.id for each in history.un_holds]
        pulls = Pulls.of(forge, environment, commits)
        replay = _Replay.of(repository, history, pulls)
        for change in changes:
            replay.step(change)
        notes = [*replay.notes, *audit_notes.of_un_holds(history, pulls)]
        findings = [*replay.findings, *_gone(repository, trunk, replay), *_lost(after, line)]
    accepted = _until(after, line)
    return AuditReport(
        environment=environment,
        checked_until=trunk,
        after=after,
        deployments=tuple(replay.deployments),
        findings=tuple(finding for finding in findings if finding.commit not in accepted),
        accepted=tuple(finding for finding in findings if finding.commit in accepted),
        notes=tuple(notes),
    )


@dataclass
class _Replay:
    """One pass over the commits, oldest first; each is judged by what held before it."""

    history: DeploymentHistory
    pulls: Pulls
    contents: Mapping[str, bytes | None]
    evidence: EvidenceLedger
    rules: RulesLedger
    deployments: list[AuditedDeployment] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    past: dict[str, Reverted] = field(default_factory=dict)

    @classmethod
    def of(cls, repository: Repository, history: DeploymentHistory, pulls: Pulls) -> "_Replay":
        """At the beginning, with every file that it will look at."""
        environment = history.environment
        contents = _contents(repository, history, pulls)
        return cls(
            history, pulls, contents, EvidenceLedger(environment), RulesLedger(repository, environment)
        )

    def __post_init__(self) -> None:
        self._deployed = {each.commit.id: each for each in self.history.deployments}
        self._unreadable = {commit.id for commit in self.history.unreadable}

    def step(self, change: TrunkCommit) -> None:
        """Judge one commit and take note of what it did."""
        commit, path = change.commit, path_of(self.history.environment)
        pull_request = self.pulls.merged_as.get(commit.id)
        case = self._case(change, self._deployed.get(commit.id))
        gaps: list[Gap] = []
        if commit.id in self._unreadable:
            gaps.append((Kind.UNREADABLE, f"{path} is missing or cannot be read since {commit.id[:12]}"))
        if case:
            gaps += deployment_audit.gaps(case)
            self.deployments.append(_audited(case))
        gaps += self.evidence.step(change, case)
        gaps += self.rules.step(change, pull_request)
        named = pull_request or (case.claimed if case else None)
        number = named.number if named else None
        self.findings += [_finding(commit.id, number, gap) for gap in gaps]
        self.notes += audit_notes.of_commit(
            change, self.history.environment, pull_request, deploys=bool(case)
        )
        self.past[commit.id] = Reverted(commit.id, self._deployed.get(commit.id), frozenset(change.files))

    def _case(self, change: TrunkCommit, deployment: Deployment | None) -> Case | None:
        if deployment is None:
            return None
        commit, environment = change.commit, self.history.environment
        pull_request = self.pulls.merged_as.get(commit.id)
        release, evidence = path_of(environment), evidence_path_of(environment, deployment.after)
        head = pull_request.head if pull_request else ""
        seen = f"{head}:{release}" in self.contents
        return Case(
            environment=environment,
            change=change,
            deployment=deployment,
            pull_request=pull_request,
            claimed=None if pull_request else self.pulls.named_by(commit),
            rules=self.rules.in_force,
            reverted=tuple(self._reverted(name) for name in _REVERTS.findall(commit.message)),
            file=self.contents[f"{commit.id}:{release}"],
            evidence=self.contents[f"{commit.id}:{evidence}"],
            head=(self.contents[f"{head}:{release}"], self.contents[f"{head}:{evidence}"]) if seen else None,
        )

    def _reverted(self, name: str) -> Reverted:
        if name in self.past:
            return self.past[name]
        found = [each for commit, each in self.past.items() if commit.startswith(name)]
        return found[0] if len(found) == 1 else Reverted(name, None)


def _contents(repository: Repository, history: DeploymentHistory, pulls: Pulls) -> dict[str, bytes | None]:
    """Release and evidence files by `<commit>:<path>`, of the deployments and of the heads that are kept."""
    kept = repository.fetch_proposed([each.number for each in pulls.merged_as.values()])
    names = []
    for deployment in history.deployments:
        paths = (path_of(history.environment), evidence_path_of(history.environment, deployment.after))
        pull_request = pulls.merged_as.get(deployment.commit.id)
        heads = [pull_request.head] if pull_request and pull_request.head in kept else []
        names += [f"{commit}:{path}" for commit in (deployment.commit.id, *heads) for path in paths]
    return dict(zip(names, repository.blobs(names), strict=True))


def _audited(case: Case) -> AuditedDeployment:
    deployment, pull_request = case.deployment, case.pull_request
    return AuditedDeployment(
        commit=deployment.commit.id,
        at=deployment.commit.at.isoformat(),
        kind=case.kind,
        release=deployment.after.model_dump(mode="json"),
        replaced=deployment.before.model_dump(mode="json") if deployment.before else None,
        pull_request=pull_request.number if pull_request else None,
        author=pull_request.author if pull_request else None,
        approved_by=pull_request.approved_by if pull_request else (),
        requested_by=case.requester,
        evidence_sha256=deployment.commit.trailer("Evidence-Sha256"),
        head_compared=case.head is not None,
    )


def _finding(commit: str | None, pull_request: int | None, gap: Gap) -> Finding:
    kind, what = gap
    return Finding(commit, pull_request, kind, f"{what}; {WAY_OUT[kind]}")


def _gone(repository: Repository, trunk: str, replay: _Replay) -> list[Finding]:
    """Merges that the forge remembers and the trunk does not hold, unless another commit claims to be theirs."""
    claimed = {finding.pull_request for finding in replay.findings if finding.kind is Kind.REWRITTEN}
    return [
        _finding(
            None,
            each.number,
            (Kind.REWRITTEN, f"#{each.number} was merged as {each.merge_commit}, which is not on main"),
        )
        for each in replay.pulls.gone(repository, trunk)
        if each.number not in claimed
    ]


def _lost(after: str | None, line: Sequence[str]) -> list[Finding]:
    if after is None or after in line:
        return []
    return [_finding(None, None, (Kind.REWRITTEN, f"{after}, said to be checked, is not on main"))]


def _until(after: str | None, line: Sequence[str]) -> frozenset[str | None]:
    """The commits up to one of them."""
    return frozenset(line[: line.index(after) + 1]) if after in line else frozenset()
