"""The gaps of one deployment: where it came from, who stands for it, and whether it is what they saw."""

from collections.abc import Callable, Iterator

from scripts.audit import evidence as evidence_audit
from scripts.audit.case import Case, Gap
from scripts.audit.report import Kind
from scripts.errors import Refused
from scripts.release_file import Release, parse, path_of

Check = Callable[[Case], Iterator[Gap]]


def gaps(case: Case) -> list[Gap]:
    """Everything that is wrong with a deployment.

    Where it came from is judged first: of a release that no promotion brought, the rest would prove nothing.
    """
    if case.kind == "import":
        return []
    origin = list(_origin(case))
    if origin:
        return origin
    checks: list[Check] = [_files, _approval, _head]
    if case.reverted:
        checks += [_revert, evidence_audit.rollback] if case.by_promote else [_revert]
    else:
        checks.append(evidence_audit.promotion)
    return [gap for check in checks for gap in check(case)]


def _origin(case: Case) -> Iterator[Gap]:
    commit, pull_request = case.change.commit, case.pull_request
    way = f"from {_name(case.deployment.before)} to {case.deployment.after.name}"
    what = f"{case.environment} went {way} by commit {commit.id[:12]} ({commit.subject})"
    if pull_request is None:
        by = f"{what}, committed as {case.change.committer!r}"
        if case.claimed:
            known = case.claimed.merge_commit or f"{case.claimed.state}, not merged"
            yield Kind.REWRITTEN, f"{by}, and names #{case.claimed.number}, which for the forge is {known}"
        elif not case.reverted or any(_revert(case)):
            yield Kind.DIRECT_PUSH, f"{by}, which is no pull request's merge"
        elif case.needs_approval:
            yield Kind.REVERT_PUSHED, f"{by}, a plain revert that nobody approved"
    elif not case.reverted and not case.by_promote:
        yield Kind.OTHER_BRANCH, f"{what} of #{pull_request.number} from branch {pull_request.branch!r}"


def _files(case: Case) -> Iterator[Gap]:
    allowed = {path_of(case.environment)}
    if not case.reverted:
        allowed.add(case.evidence_path)
    elif not case.by_promote:
        allowed.update(*(each.files for each in case.reverted))
    more = sorted(set(case.change.files) - allowed)
    if more:
        yield Kind.MORE_FILES, f"it changes {len(more)} more files, first {more[0]}"


def _approval(case: Case) -> Iterator[Gap]:
    if case.rules is None:
        yield Kind.NO_RULES, f"{case.environment} had no readable rules before this commit"
    if case.pull_request is None:
        return
    author, head = case.pull_request.author, case.pull_request.head[:12]
    approvers = {name.casefold() for name in case.pull_request.approved_by}
    if author.casefold() in approvers:
        yield Kind.AUTHOR_APPROVED, f"its author {author} approved it"
    if case.requester and case.requester.casefold() in approvers:
        yield Kind.REQUESTER_APPROVED, f"{case.requester} asked for it and approved it"
    if case.needs_approval and not approvers:
        yield Kind.NO_APPROVAL, f"nobody approved its head {head}, and {case.environment} needs an approval"


def _head(case: Case) -> Iterator[Gap]:
    if case.head is None or case.pull_request is None:
        return
    file, evidence = case.head
    head = f"the approved head {case.pull_request.head[:12]}"
    if file != case.file and _release(file) != case.deployment.after:
        yield Kind.OTHER_HEAD, f"{head} holds release {_name(_release(file))}"
    elif not case.reverted and evidence != case.evidence:
        yield Kind.OTHER_HEAD, f"{head} holds other bytes in {case.evidence_path}"


def _revert(case: Case) -> Iterator[Gap]:
    """Each reverted commit had brought what ran then, and the last one had replaced what runs now."""
    release: Release | None = case.deployment.before
    for each in case.reverted:
        if each.deployment is None:
            yield (
                Kind.BAD_REVERT,
                f"it reverts {each.name[:12]}, which deployed nothing in {case.environment}",
            )
            return
        if each.deployment.after != release:
            yield (
                Kind.BAD_REVERT,
                f"it reverts {each.name[:12]}, which is not what had brought {_name(release)}",
            )
            return
        release = each.deployment.before
    if release != case.deployment.after:
        brought = case.deployment.after.name
        yield Kind.BAD_REVERT, f"its revert restores {_name(release)}, the release file says {brought}"


def _release(data: bytes | None) -> Release | None:
    try:
        return parse(data or b"")
    except Refused:
        return None


def _name(release: Release | None) -> str:
    return release.name if release else "nothing"
