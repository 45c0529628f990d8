"""The gaps between a commit that promote wrote, its evidence and the text of its pull request."""

import hashlib
from collections.abc import Callable, Iterator

from scripts.audit.case import Case, Gap
from scripts.audit.report import Kind
from scripts.errors import Refused
from scripts.history import recorded_evidence
from scripts.history.recorded_evidence import RecordedEvidence
from scripts.promotion.pull_request import json_block
from scripts.release_file import Release


def promotion(case: Case) -> Iterator[Gap]:
    """The evidence file is the one that was promised, opens every gate, and stands in the pull request."""
    yield from _trailers(case)
    if case.evidence is None:
        yield Kind.NO_EVIDENCE, f"the commit has no {case.evidence_path}"
        return
    digest, said = hashlib.sha256(case.evidence).hexdigest(), case.change.commit.trailer("Evidence-Sha256")
    if digest != said:
        said = said and said[:12]
        yield Kind.EVIDENCE_DIGEST, f"{case.evidence_path} has sha256 {digest[:12]}, the trailer says {said}"
        return
    try:
        facts = recorded_evidence.read(case.evidence)
    except Refused as refusal:
        yield Kind.EVIDENCE_FACTS, f"{case.evidence_path}: {refusal}"
        return
    yield from _facts(case, facts)
    yield from _gates(case, facts)
    if case.deployment.broke:
        yield Kind.HELD, f"it brought back what was held: {case.deployment.broke}"
    if not _in_body(case, lambda block: recorded_evidence.same(block, case.evidence or b"")):
        yield Kind.FORGED_BLOCK, f"the pull request's JSON block is not {case.evidence_path}"


def rollback(case: Case) -> Iterator[Gap]:
    """What a rollback says of itself; what it restores is judged with every other revert."""
    yield from _trailers(case)
    reverts = [each.deployment.commit.id for each in case.reverted if each.deployment]

    def agrees(block: str) -> bool:
        facts = recorded_evidence.unique_object(block)
        return (facts.get("requested_by"), facts.get("reverts")) == (case.requester, reverts)

    if not _in_body(case, agrees):
        yield Kind.FORGED_BLOCK, "the pull request's JSON block says other than the commit's message"


def _facts(case: Case, facts: RecordedEvidence) -> Iterator[Gap]:
    pairs: dict[str, tuple[Release | str | None, Release | str | None]] = {
        "environment": (facts.environment, case.environment),
        "release": (facts.release, case.deployment.after),
        "replaced release": (facts.replaces, case.deployment.before),
        "requester": (
            facts.requested_by,
            case.requester or facts.requested_by,
        ),  # none at all: a trailer is missing
    }
    for name, (said, true) in pairs.items():
        if said != true:
            yield Kind.EVIDENCE_FACTS, f"{case.evidence_path} has {name} {_shown(said)}, not {_shown(true)}"


def _gates(case: Case, facts: RecordedEvidence) -> Iterator[Gap]:
    closed = [gate.name for gate in facts.gates if not gate.opens]
    if closed or not facts.gates:
        yield Kind.GATE_CLOSED, f"a gate was closed: {', '.join(closed) or 'none was judged'}"
    own = [gate.name for gate in facts.gates if gate.waiver and _is(gate.waiver.by, case.requester)]
    if own and case.needs_approval:
        yield Kind.GATE_CLOSED, f"{case.requester} asked for it and waived {own[0]}"


def _trailers(case: Case) -> Iterator[Gap]:
    """The message says the same as the files and the forge."""
    commit, release, pull_request = case.change.commit, case.deployment.after, case.pull_request
    wanted = {
        "Model-Version": str(release.model_version),
        "Model-Sha256": release.model_sha256,
        "Image-Tag": release.image_tag,
    }
    for key, value in wanted.items():
        if commit.trailer(key) != value:
            yield Kind.TRAILERS, f"its trailer {key} is {commit.trailer(key)}, not {value}"
    if case.requester is None:
        yield Kind.TRAILERS, "it does not say who asked: one trailer Requested-by is needed"
    if pull_request is None:
        return
    if commit.trailers("Pull-Request") not in {(), (f"#{pull_request.number}",)}:
        named = ", ".join(commit.trailers("Pull-Request"))
        yield Kind.TRAILERS, f"its trailer Pull-Request names {named}"
    for name in sorted(set(commit.trailers("Approved-by")) - set(pull_request.approved_by)):
        yield (
            Kind.TRAILERS,
            f"its trailer Approved-by names {name}, of whose approval the forge knows nothing",
        )


def _in_body(case: Case, agrees: Callable[[str], bool]) -> bool:
    """Whether the pull request has one JSON block, readable in one way, and it agrees."""
    try:
        return agrees(json_block(case.pull_request.body if case.pull_request else ""))
    except Refused:
        return False


def _is(name: str, other: str | None) -> bool:
    """Forges take account names in either case for the same."""
    return other is not None and name.casefold() == other.casefold()


def _shown(fact: Release | str | None) -> str:
    return f"{fact.name} ({fact.model_sha256[:12]})" if isinstance(fact, Release) else str(fact)
